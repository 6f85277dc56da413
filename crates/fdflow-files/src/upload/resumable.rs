//! Uploads in parts, as in draft-ietf-httpbis-resumable-upload: begun by PUT or POST, asked about
//! by HEAD, continued by PATCH, given up by DELETE.
//!
//! An upload is two files beside the one that it is to become: its bytes, whose length is the
//! offset, and its state. So it outlives the program. hyper sends no interim responses, so the
//! client learns where its upload is from the answer to a request with `Upload-Complete: ?0`,
//! which may be empty.

mod claim;
mod state;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Method, Response, StatusCode};
use http_body::Body as HttpBody;

pub(super) use claim::Claims;
use claim::{Claimed, Held};
use state::State;
use state::Unfinished;
pub(super) use state::{data_name, id_of, id_of_data, id_of_state, state_name};

use super::intake::{Bounds, BoxError, Sink, Stopped, blocking, take_in};
use super::refusal::Refusal;
use super::store::{Folder, publish, unguessable};
use super::terms::Terms;
use super::watched::Watched;
use super::whole::{Place, done};
use super::{Upload, empty, fields, not_allowed};
use crate::Body;
use crate::name::escape;

const METHODS: &str = "DELETE, HEAD, OPTIONS, PATCH";

impl Upload<'_> {
    /// A request that begins an upload.
    pub(super) async fn begun<B>(
        &self,
        complete: bool,
        body: &mut Watched<B>,
    ) -> Result<Response<Body>, Refusal>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let coming = body.size_hint().exact();
        let length = self.length(0, complete, coming, None)?;
        if complete {
            // Its place could not be told before it is over; then there is nothing to resume.
            return self.whole(length, body).await;
        }
        let terms = Terms::new(self.options.overwrite, self.headers());
        let place = Place::find(self.root, self.name, terms).await?;
        let state = State::new(&place, length);
        let begun = self.create(place, state.clone(), length.or(coming)).await?;
        let Begun { id, held, unfinished, folder } = begun;
        let sink = self.receive(body, Sink::new(held, 0), length, false).await?;
        let durable = self.options.durable;
        blocking(move || {
            if durable {
                rustix::fs::fdatasync(sink.file.as_ref())?;
                folder.sync()?;
            }
            unfinished.keep();
            Ok::<_, Refusal>(())
        })
        .await??;
        let mut response = self.progress(StatusCode::CREATED, false);
        // Relative, as the folder may be served under any other name.
        let place = HeaderValue::try_from(data_name(&id)).map_err(|_| lost())?;
        response.headers_mut().insert(LOCATION, place);
        Ok(response)
    }

    /// The files of a new upload, claimed; they go again unless they are kept.
    async fn create(
        &self,
        place: Place,
        state: State,
        coming: Option<u64>,
    ) -> Result<Begun, Refusal> {
        let id = unguessable()?;
        let claim = self.options.claims.claim(place.folder.identity(), &id).await;
        let (limit, expiry) = (self.options.unfinished, self.options.expiry);
        blocking(move || {
            place.check(coming)?;
            if super::clean::folder(place.folder.fd(), expiry)? >= limit {
                let reason = "too many uploads wait to be resumed here";
                return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason));
            }
            let unfinished = Unfinished::new(&place.folder, &id);
            let file = place.folder.create(&OsString::from(data_name(&id)))?;
            let held = claim.hold(file)?;
            state.write(&place.folder, &id)?;
            Ok(Begun { id, held, unfinished, folder: place.folder })
        })
        .await?
    }

    /// The body, into the file of an upload, for as long as nobody else asks about it.
    async fn receive<B>(
        &self,
        body: &mut Watched<B>,
        sink: Sink<Held>,
        length: Option<u64>,
        keep_partial: bool,
    ) -> Result<Sink<Held>, Refusal>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let largest =
            self.options.largest.unwrap_or(fields::LARGEST).min(length.unwrap_or(u64::MAX));
        let bounds = Bounds { most: largest.saturating_sub(sink.at), keep_partial };
        let mut body = claim::Overtaken::new(Pin::new(body), sink.file.stops());
        match take_in(Pin::new(&mut body), sink, bounds).await {
            Ok(sink) => Ok(sink),
            Err(Stopped::TooLarge) if length == Some(largest) => Err(inconsistent()),
            Err(Stopped::TooLarge) => Err(self.options.too_large()),
            Err(Stopped::Broken(why)) if body.is_overtaken() => Err(Refusal::conflict(why).last()),
            Err(stopped) => Err(stopped.into()),
        }
    }

    /// A request to an upload that there is.
    pub(super) async fn resumed<B>(
        &self,
        id: String,
        body: &mut Watched<B>,
    ) -> Result<Response<Body>, Refusal>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        if !self.options.resumable {
            return Err(unknown());
        }
        match self.head.method {
            Method::HEAD | Method::DELETE => {}
            Method::PATCH => self.is_partial()?,
            Method::OPTIONS => return Ok(self.offers(METHODS)),
            _ => return Err(not_allowed(METHODS)),
        }
        let claimed = self.claim(&id).await?;
        match self.head.method {
            Method::PATCH => self.append(claimed, body).await,
            Method::DELETE => {
                blocking(move || claimed.remove()).await??;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            _ => self.state(claimed).await,
        }
    }

    /// Stops whoever is at this upload, waits for what they are writing, and opens it.
    async fn claim(&self, id: &str) -> Result<Claimed, Refusal> {
        // The folder is found by a name that is not hidden: this one's is refused like all such.
        let parent = self.name.parent().ok_or_else(unknown)?;
        let found = self.root.open_parent(&parent.child(b"upload")).await;
        let (fd, _) = found.map_err(|_| unknown())?;
        let folder = Arc::new(Folder::new(fd)?);
        let claim = self.options.claims.claim(folder.identity(), id).await;
        let (id, expiry) = (id.to_owned(), self.options.expiry);
        blocking(move || Claimed::open(folder, id, claim, expiry)).await?
    }

    /// HEAD: the state.
    async fn state(&self, claimed: Claimed) -> Result<Response<Body>, Refusal> {
        let durable = self.options.durable;
        let (state, offset) = blocking(move || {
            if durable && let Some(held) = &claimed.held {
                // What is told is promised.
                rustix::fs::fdatasync(held.as_ref())?;
            }
            Ok::<_, Refusal>((claimed.state, claimed.offset))
        })
        .await??;
        let mut response = self.progress(StatusCode::NO_CONTENT, state.complete);
        let answer = response.headers_mut();
        answer.insert(fields::UPLOAD_OFFSET, offset.into());
        answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(length) = state.length {
            answer.insert(fields::UPLOAD_LENGTH, length.into());
        }
        Ok(response)
    }

    /// PATCH: more bytes, or the last of them.
    async fn append<B>(
        &self,
        mut claimed: Claimed,
        body: &mut Watched<B>,
    ) -> Result<Response<Body>, Refusal>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let offset = fields::integer(self.headers(), &fields::UPLOAD_OFFSET);
        let complete = fields::boolean(self.headers(), &fields::UPLOAD_COMPLETE);
        let (Some(offset), Some(complete)) = (offset, complete) else {
            let reason = "a part says where it begins (Upload-Offset) and whether it is the last \
                          (Upload-Complete)";
            return Err(Refusal::bad_request(reason));
        };
        let Some(held) = claimed.held.take() else { return Err(over(&claimed.state, body)) };
        if offset != claimed.offset {
            return Err(mismatch(claimed.offset, offset));
        }
        let coming = body.size_hint().exact();
        let length = self.length(offset, complete, coming, claimed.state.length)?;
        if length != claimed.state.length {
            claimed.state.length = length;
            claimed = blocking(move || claimed.write_state()).await??;
        }
        let sink = match self.receive(body, Sink::new(held, offset), length, true).await {
            Ok(sink) => sink,
            Err(refusal) if ends(&refusal) => return Err(claimed.given_up(refusal).await),
            Err(refusal) => return Err(refusal),
        };
        claimed.offset = sink.at;
        if complete && length.is_some_and(|length| length != sink.at) {
            return Err(inconsistent());
        }
        if complete {
            return self.completed(claimed, sink.file).await;
        }
        let durable = self.options.durable;
        let offset = sink.at;
        blocking(move || {
            sink.file.trim(sink.at)?;
            if durable { rustix::fs::fdatasync(sink.file.as_ref()) } else { Ok(()) }
        })
        .await??;
        let mut response = self.progress(StatusCode::NO_CONTENT, false);
        response.headers_mut().insert(fields::UPLOAD_OFFSET, offset.into());
        Ok(response)
    }

    /// The file is put in its place, as the request that began it would have put it.
    async fn completed(&self, claimed: Claimed, held: Held) -> Result<Response<Body>, Refusal> {
        let (overwrite, durable) = (self.options.overwrite, self.options.durable);
        let target = claimed.state.target();
        let name = target.clone();
        let published = blocking(move || {
            let terms = Terms::from_text(overwrite, &claimed.state.conditions);
            held.trim(claimed.offset)?;
            let staged = held.staged(data_name(&claimed.id))?;
            let published = publish(&claimed.folder, &staged, &name, &terms, durable);
            match &published {
                Ok(_) => claimed.finished()?,
                Err(refusal) if refusal.status().is_client_error() => claimed.remove()?,
                Err(_) => {}
            }
            published
        })
        .await?;
        let over = |refusal: Refusal| {
            let final_one = refusal.status().is_client_error();
            refusal.with_field(fields::UPLOAD_COMPLETE, fields::complete(final_one))
        };
        let mut response = done(published.map_err(over)?);
        let answer = response.headers_mut();
        answer.insert(fields::UPLOAD_COMPLETE, fields::complete(true));
        if response.status() == StatusCode::CREATED
            && let Some(place) = location(&target)
        {
            response.headers_mut().insert(LOCATION, place);
        }
        Ok(response)
    }

    /// An answer about an upload that goes on.
    fn progress(&self, status: StatusCode, complete: bool) -> Response<Body> {
        let mut response = empty(status);
        let answer = response.headers_mut();
        answer.insert(fields::UPLOAD_COMPLETE, fields::complete(complete));
        answer.insert(fields::UPLOAD_LIMIT, self.options.limit());
        response
    }

    /// The length of the whole, by everything that tells it; all must say the same.
    fn length(
        &self,
        offset: u64,
        complete: bool,
        coming: Option<u64>,
        known: Option<u64>,
    ) -> Result<Option<u64>, Refusal> {
        let told = fields::integer(self.headers(), &fields::UPLOAD_LENGTH);
        let end = coming.map(|bytes| offset.saturating_add(bytes));
        let summed = if complete { end } else { None };
        let length = known.or(told).or(summed);
        let agree = [told, summed].into_iter().flatten().all(|other| Some(other) == length);
        if !agree || length.is_some_and(|length| end.is_some_and(|end| end > length)) {
            return Err(inconsistent());
        }
        self.options.allows(length.or(end).unwrap_or(offset))?;
        Ok(length)
    }

    fn is_partial(&self) -> Result<(), Refusal> {
        let kind = self.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or("").split(';').next().unwrap_or("").trim();
        if kind.eq_ignore_ascii_case(fields::PARTIAL_UPLOAD) {
            return Ok(());
        }
        let reason = "the next part of an upload is application/partial-upload";
        let accepted = HeaderValue::from_static(fields::PARTIAL_UPLOAD);
        Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason)
            .with_field(super::ACCEPT_PATCH, accepted))
    }
}

/// An upload that was begun.
struct Begun {
    id: String,
    held: Held,
    unfinished: Unfinished,
    folder: Arc<Folder>,
}

impl AsRef<File> for Held {
    fn as_ref(&self) -> &File {
        self.file()
    }
}

/// A refusal after which the bytes that are there can become nothing.
fn ends(refusal: &Refusal) -> bool {
    matches!(refusal.status(), StatusCode::PAYLOAD_TOO_LARGE) || refusal.is_problem()
}

fn location(name: &OsStr) -> Option<HeaderValue> {
    HeaderValue::try_from(escape(name.as_bytes()).to_string()).ok()
}

fn unknown() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is no such upload, or not any more")
}

fn lost() -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the upload's name could not be told")
}

pub(super) fn inconsistent() -> Refusal {
    Refusal::bad_request("inconsistent length values for upload")
        .with_problem("inconsistent-upload-length", [])
}

fn mismatch(expected: u64, provided: u64) -> Refusal {
    Refusal::conflict("offset from request does not match offset of resource")
        .with_problem(
            "mismatching-upload-offset",
            [("expected-offset", expected), ("provided-offset", provided)],
        )
        .with_field(fields::UPLOAD_OFFSET, expected)
        .with_field(fields::UPLOAD_COMPLETE, fields::complete(false))
}

/// To what is sent to an upload that is complete.
fn over<B>(state: &State, body: &Watched<B>) -> Refusal
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    if !body.is_end_stream() {
        return inconsistent();
    }
    let refusal = Refusal::new(StatusCode::GONE, "upload is already completed")
        .with_problem("completed-upload", [])
        .with_field(fields::UPLOAD_COMPLETE, fields::complete(true));
    match location(&state.target()) {
        Some(place) => refusal.with_field(LOCATION, place),
        None => refusal,
    }
}
