//! The hello itself, field by field.

use super::error::HelloFault;
use super::name;

/// The head of the message, the version and the random bytes.
const UNREAD: usize = 4 + 2 + 32;

const MAX_SESSION: usize = 32;

/// Of extensions: `server_name`.
const SERVER_NAME: u16 = 0;

/// Of names: `host_name`, the only kind that was ever defined.
const HOST_NAME: u8 = 0;

pub(super) fn server_name(message: &[u8]) -> Result<Option<String>, HelloFault> {
    let mut fields = Fields(message.get(UNREAD..).ok_or(HelloFault::Short)?);
    let session = fields.short().ok_or(HelloFault::Session)?;
    if session.len() > MAX_SESSION {
        return Err(HelloFault::Session);
    }
    let suites = fields.long().ok_or(HelloFault::CipherSuites)?;
    if suites.is_empty() || suites.len() % 2 != 0 {
        return Err(HelloFault::CipherSuites);
    }
    let methods = fields.short().ok_or(HelloFault::Compression)?;
    if methods.is_empty() {
        return Err(HelloFault::Compression);
    }
    if fields.is_empty() {
        return Ok(None);
    }
    match names(fields)? {
        Some(list) => host_name(list),
        None => Ok(None),
    }
}

/// The contents of the one extension with server names.
fn names(mut fields: Fields<'_>) -> Result<Option<Fields<'_>>, HelloFault> {
    let mut extensions = fields.only_long().ok_or(HelloFault::Extensions)?;
    let mut found = None;
    while !extensions.is_empty() {
        let kind = extensions.number().ok_or(HelloFault::Extensions)?;
        let contents = extensions.long().ok_or(HelloFault::Extensions)?;
        if kind != SERVER_NAME {
            continue;
        }
        if found.replace(Fields(contents)).is_some() {
            return Err(HelloFault::TwoNames);
        }
    }
    Ok(found)
}

fn host_name(mut contents: Fields<'_>) -> Result<Option<String>, HelloFault> {
    let mut list = contents.only_long().ok_or(HelloFault::Names)?;
    if list.is_empty() {
        return Err(HelloFault::Names);
    }
    let mut found = None;
    while !list.is_empty() {
        let kind = list.byte().ok_or(HelloFault::Names)?;
        let name = list.long().ok_or(HelloFault::Names)?;
        if kind == HOST_NAME && found.replace(name).is_some() {
            return Err(HelloFault::TwoNames);
        }
    }
    found.map_or(Ok(None), name::sent)
}

/// What is left to be read. Numbers are big-endian; a vector has its length before it.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// A vector whose length is a byte.
    fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.byte()?;
        self.take(usize::from(length))
    }

    /// A vector whose length is two bytes.
    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::from(length))
    }

    /// Such a vector with nothing behind it.
    fn only_long(&mut self) -> Option<Self> {
        let vector = self.long()?;
        self.is_empty().then_some(Self(vector))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}
