//! The transport: a connection that knows the files behind the bytes it is given.

/// A connection that sends mapped files by sendfile.
#[derive(Debug)]
pub struct Transport<S> {
    stream: S,
}

impl<S> Transport<S> {
    /// Around an accepted connection.
    pub fn new(stream: S) -> Self {
        Self { stream }
    }

    /// The connection.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}
