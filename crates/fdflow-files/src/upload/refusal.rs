//! Why an upload is not taken: a status, one line for a person, and what a client needs to go on.

use std::borrow::Cow;
use std::io;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode, Version};
use rustix::io::Errno;

use crate::Body;
use crate::root::OpenError;

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    reason: Cow<'static, str>,
    /// A problem type of RFC 9457, and its members beyond `type` and `title`.
    problem: Option<(&'static str, Vec<(&'static str, u64)>)>,
    fields: Vec<(HeaderName, HeaderValue)>,
    last: bool,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { status, reason: reason.into(), problem: None, fields: Vec::new(), last: false }
    }

    pub(super) fn bad_request(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    pub(super) fn conflict(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, reason)
    }

    /// One of the problem types that the draft registers.
    pub(super) fn with_problem(
        mut self,
        kind: &'static str,
        members: impl Into<Vec<(&'static str, u64)>>,
    ) -> Self {
        self.problem = Some((kind, members.into()));
        self
    }

    pub(super) fn with_field(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// After which the connection is closed, however little of the request is left: the client may
    /// have gone, or may take its time, and would be waited for.
    pub(super) fn last(mut self) -> Self {
        self.last = true;
        self
    }

    pub(super) fn is_last(&self) -> bool {
        self.last
    }

    pub(super) fn is_problem(&self) -> bool {
        self.problem.is_some()
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    /// The answer; `close` where the rest of the request is left unread.
    pub(super) fn answer(self, version: Version, close: bool) -> Response<Body> {
        let (kind, body) = match &self.problem {
            None => ("text/plain; charset=utf-8", format!("{}\n", self.reason)),
            Some((kind, members)) => {
                ("application/problem+json", problem(kind, &self.reason, members))
            }
        };
        let mut response = Response::new(Body::from(Bytes::from(body)));
        *response.status_mut() = self.status;
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        fields.extend(self.fields);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            fields.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if close && version < Version::HTTP_2 {
            fields.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn problem(kind: &str, title: &str, members: &[(&str, u64)]) -> String {
    let mut object = serde_json::Map::new();
    object.insert("type".into(), format!("{PROBLEM_TYPES}{kind}").into());
    object.insert("title".into(), title.into());
    object.extend(members.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())));
    serde_json::Value::Object(object).to_string()
}

const PROBLEM_TYPES: &str = "https://iana.org/assignments/http-problem-types#";

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        let (status, reason) = match errno {
            Errno::NOSPC | Errno::DQUOT => {
                (StatusCode::INSUFFICIENT_STORAGE, "there is no space left for this file")
            }
            Errno::FBIG => (StatusCode::PAYLOAD_TOO_LARGE, "files cannot be this large here"),
            Errno::ACCESS | Errno::PERM | Errno::ROFS => {
                (StatusCode::FORBIDDEN, "the server may not write into this folder")
            }
            Errno::MFILE | Errno::NFILE | Errno::NOMEM => {
                (StatusCode::SERVICE_UNAVAILABLE, "the server has too much open at the moment")
            }
            Errno::NAMETOOLONG => (StatusCode::BAD_REQUEST, "the name is too long"),
            Errno::INVAL | Errno::ILSEQ => {
                (StatusCode::BAD_REQUEST, "the filesystem cannot hold a file of this name")
            }
            Errno::NOENT | Errno::NOTDIR => {
                (StatusCode::CONFLICT, "the folder that it goes into is not there")
            }
            Errno::EXIST | Errno::ISDIR | Errno::NOTEMPTY => {
                (StatusCode::CONFLICT, "something else has this name")
            }
            other => {
                let reason = format!("the file could not be stored: {other}");
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, reason);
            }
        };
        Self::new(status, reason)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Errno::from_io_error(&error).map_or_else(
            || {
                let reason = format!("the file could not be stored: {error}");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
            },
            Self::from,
        )
    }
}

impl From<OpenError> for Refusal {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NotFound => Errno::NOENT.into(),
            OpenError::NotAFolder => Errno::NOTDIR.into(),
            OpenError::Refused => Self::new(StatusCode::FORBIDDEN, "nothing may be stored there"),
            OpenError::Denied => Errno::ACCESS.into(),
            OpenError::NoDescriptors => Errno::MFILE.into(),
            OpenError::NameTooLong => Errno::NAMETOOLONG.into(),
            OpenError::Failed(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_disk_is_the_servers_and_names_itself() {
        let refusal = Refusal::from(io::Error::from(Errno::IO));
        assert_eq!(refusal.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(refusal.reason().contains("error"), "{}", refusal.reason());
    }

    #[test]
    fn what_a_client_can_do_something_about_is_told_apart() {
        for (errno, status) in [
            (Errno::NOSPC, 507),
            (Errno::DQUOT, 507),
            (Errno::FBIG, 413),
            (Errno::ACCESS, 403),
            (Errno::ROFS, 403),
            (Errno::MFILE, 503),
            (Errno::NAMETOOLONG, 400),
            (Errno::NOENT, 409),
            (Errno::EXIST, 409),
        ] {
            assert_eq!(Refusal::from(errno).status(), status, "{errno:?}");
        }
    }
}
