//! Forms: `multipart/form-data`, as a page or `curl -F` sends it. Every file in it is stored as
//! soon as it is whole; what cannot be stored is told, and the rest is stored all the same.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use http_body::Body as HttpBody;
use http_body_util::BodyDataStream;
use multer::{Field, Multipart};

use super::intake::{Bounds, BoxError, Intake, Stopped};
use super::refusal::Refusal;
use super::store::{Published, is_reserved};
use super::terms::Terms;
use super::watched::Watched;
use super::whole::{Place, prepare, put_in_place};
use super::{Upload, empty};
use crate::Body;
use crate::name::Name;

/// So much may be read of a form without any of it being a file's bytes: heads of parts have no
/// limit of their own.
const UNUSED: u64 = 4 << 20;
/// So many parts are read.
const PARTS: usize = 10_000;

/// Whether a body is a form.
pub(super) fn is_form(fields: &HeaderMap) -> bool {
    let kind = fields.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    kind.eq_ignore_ascii_case("multipart/form-data")
}

/// What became of a file of a form.
#[derive(Debug)]
struct Part {
    name: String,
    result: Result<Published, Refusal>,
}

impl Upload<'_> {
    /// POST of a form to a folder.
    pub(super) async fn form<B>(&self, body: &mut Watched<B>) -> Result<Response<Body>, Refusal>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let kind = self.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = multer::parse_boundary(kind.unwrap_or(""))
            .map_err(|_| Refusal::bad_request("a form says what stands between its parts"))?;
        self.options.allows(body.size_hint().lower())?;
        let given = body.given();
        let stream = BodyDataStream::new(Borrowed(body));
        let mut form = Multipart::new(stream, boundary);
        let used = Used { given, used: AtomicU64::new(0) };
        let mut parts = Vec::new();
        let mut left = self.options.largest.unwrap_or(u64::MAX);
        while let Some(field) = next_field(&mut form, &used).await? {
            if field.file_name().is_some_and(|name| !name.is_empty()) {
                if parts.len() == PARTS {
                    return Err(Refusal::bad_request("the form has too many files"));
                }
                parts.push(self.part(field, &used, &mut left).await?);
            } else {
                skip(field, &used).await?;
            }
        }
        Ok(self.told(&parts))
    }

    /// One file. An error is one of the request, after which nothing more can be read; a file that
    /// may not be stored is read to its end.
    async fn part(
        &self,
        mut field: Field<'_>,
        used: &Used,
        left: &mut u64,
    ) -> Result<Part, Refusal> {
        let name = field.file_name().unwrap_or_default().to_owned();
        let begun = self.part_begun(&name, *left).await;
        let (place, mut intake) = match begun {
            Ok(begun) => begun,
            Err(refusal) => {
                skip(field, used).await?;
                return Ok(Part { name, result: Err(refusal) });
            }
        };
        while let Some(bytes) = field.chunk().await.map_err(broken)? {
            used.of(&bytes)?;
            *left = left.saturating_sub(bytes.len() as u64);
            match intake.push(bytes).await {
                Ok(()) => {}
                Err(Stopped::TooLarge) => return Err(self.options.too_large()),
                Err(Stopped::Refused(refusal)) => {
                    skip(field, used).await?;
                    return Ok(Part { name, result: Err(refusal) });
                }
                Err(other) => return Err(other.into()),
            }
        }
        let result = match intake.finish().await {
            Ok(written) => put_in_place(place, written, self.options).await,
            Err(stopped) => Err(stopped.into()),
        };
        Ok(Part { name, result })
    }

    async fn part_begun(
        &self,
        name: &str,
        most: u64,
    ) -> Result<(Place, Intake<super::store::Staged>), Refusal> {
        let name = file_name(self.name, name)?;
        let terms = Terms::new(self.options.overwrite, &HeaderMap::new());
        let place = Place::find(self.root, &name, terms).await?;
        let sink = prepare(&place, self.options, None).await?;
        Ok((place, Intake::new(sink, Bounds { most, keep_partial: false }, None)))
    }

    /// The answer: a page goes back to its folder where all went well; else a line for each file.
    fn told(&self, parts: &[Part]) -> Response<Body> {
        let failed = parts.iter().find_map(|part| part.result.as_ref().err());
        let status = match failed {
            Some(refusal) => refusal.status(),
            None if parts.is_empty() => StatusCode::BAD_REQUEST,
            None if self.is_from_a_page() => {
                let mut response = empty(StatusCode::SEE_OTHER);
                // Relative, as the folder may be served under any other name.
                response.headers_mut().insert(LOCATION, HeaderValue::from_static("./"));
                return response;
            }
            None => StatusCode::CREATED,
        };
        let mut text = String::new();
        for part in parts {
            let outcome = match &part.result {
                Ok(Published::Created) => "stored",
                Ok(Published::Replaced) => "replaced",
                Err(refusal) => refusal.reason(),
            };
            text.extend(part.name.escape_debug());
            text.push_str(": ");
            text.push_str(outcome);
            text.push('\n');
        }
        if parts.is_empty() {
            text.push_str("there is no file in this form\n");
        }
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }

    /// Whether a browser has sent it without a script.
    fn is_from_a_page(&self) -> bool {
        let accepted = self.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
        accepted.is_some_and(|types| types.contains("text/html"))
    }
}

/// The name of a form's file, in its folder. Old browsers send the whole path of a file, which is
/// cut; `"`, CR and LF come escaped, as the HTML standard says, and nothing else does.
fn file_name(folder: &Name, sent: &str) -> Result<Name, Refusal> {
    let last = sent.rsplit(['/', '\\']).next().unwrap_or(sent);
    let plain = last.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n");
    if is_reserved(plain.as_bytes()) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "nothing may be stored there"));
    }
    folder.checked_child(plain.as_bytes()).map_err(|why| Refusal::bad_request(why.to_string()))
}

/// How much of what was read has been of use.
struct Used {
    given: Arc<AtomicU64>,
    used: AtomicU64,
}

impl Used {
    fn of(&self, bytes: &Bytes) -> Result<(), Refusal> {
        self.used.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.check()
    }

    fn check(&self) -> Result<(), Refusal> {
        let unused = self.given.load(Ordering::Relaxed) - self.used.load(Ordering::Relaxed);
        if unused > UNUSED {
            return Err(Refusal::bad_request("the form has more in it than its files"));
        }
        Ok(())
    }
}

/// The next part. Its head is looked for in all that comes, which is why that is watched.
async fn next_field<'f>(
    form: &mut Multipart<'f>,
    used: &Used,
) -> Result<Option<Field<'f>>, Refusal> {
    std::future::poll_fn(|cx| {
        let polled = form.poll_next_field(cx);
        match used.check() {
            Err(refusal) => std::task::Poll::Ready(Err(refusal)),
            Ok(()) => polled.map_err(broken),
        }
    })
    .await
}

async fn skip(mut field: Field<'_>, used: &Used) -> Result<(), Refusal> {
    while let Some(bytes) = field.chunk().await.map_err(broken)? {
        used.of(&bytes)?;
    }
    Ok(())
}

fn broken(error: multer::Error) -> Refusal {
    Refusal::bad_request(format!("the form is broken: {error}"))
}

/// A body that stays where it is.
struct Borrowed<'b, B>(&'b mut Watched<B>);

impl<B> HttpBody for Borrowed<'_, B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        Pin::new(&mut *self.0).poll_frame(cx).map_err(Into::into)
    }
}
