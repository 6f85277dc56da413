//! A whole file in one request.

use std::ffi::OsString;
use std::fs::File;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body as HttpBody;

use super::intake::{Bounds, BoxError, Sink, Stopped, blocking, take_in};
use super::refusal::Refusal;
use super::resumable::inconsistent;
use super::store::{Folder, Published, Rule, Staged, publish};
use super::terms::Terms;
use super::watched::Watched;
use super::{Upload, UploadOptions, empty, fields};
use crate::Body;
use crate::name::Name;
use crate::root::Root;

/// Where a file is to be, and on which terms.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) folder: Arc<Folder>,
    pub(super) name: OsString,
    pub(super) terms: Terms,
}

impl Place {
    /// Opens the folder.
    pub(super) async fn find(root: &Root, name: &Name, terms: Terms) -> Result<Self, Refusal> {
        let (fd, last) = root.open_parent(name).await?;
        Ok(Self { folder: Arc::new(Folder::new(fd)?), name: last, terms })
    }

    /// Asks, before anything is read, what would be asked in the end.
    pub(super) fn check(&self, coming: Option<u64>) -> Result<(), Refusal> {
        self.terms.check(self.folder.look(&self.name)?.as_ref())?;
        match coming {
            Some(bytes) if !self.folder.has_room_for(bytes) => Err(rustix::io::Errno::NOSPC.into()),
            _ => Ok(()),
        }
    }
}

impl AsRef<File> for Staged {
    fn as_ref(&self) -> &File {
        self.file()
    }
}

/// A file for what comes, beside where it is to be.
pub(super) async fn prepare(
    place: &Place,
    options: &UploadOptions,
    coming: Option<u64>,
) -> Result<Sink<Staged>, Refusal> {
    let (place, unnamed) = (place.clone(), options.unnamed);
    blocking(move || {
        place.check(coming)?;
        Ok(Sink::new(Staged::new(&place.folder, unnamed)?, 0))
    })
    .await?
}

/// What was written, under its name.
pub(super) async fn put_in_place(
    place: Place,
    written: Sink<Staged>,
    options: &UploadOptions,
) -> Result<Published, Refusal> {
    let durable = options.durable;
    blocking(move || publish(&place.folder, &written.file, &place.name, &place.terms, durable))
        .await?
}

impl Upload<'_> {
    /// PUT: the body is the file, of this length where the client has told one.
    pub(super) async fn whole<B>(
        &self,
        length: Option<u64>,
        body: &mut Watched<B>,
    ) -> Result<Response<Body>, Refusal>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let coming = body.size_hint().exact();
        self.options.allows(coming.unwrap_or(0))?;
        let terms = Terms::new(self.options.overwrite, self.headers());
        let place = Place::find(self.root, self.name, terms).await?;
        let sink = prepare(&place, self.options, coming).await?;
        let most = self.options.largest.unwrap_or(u64::MAX);
        let bounds = Bounds { most, keep_partial: false };
        let written = take_in(Pin::new(body), sink, bounds).await.map_err(|stopped| {
            if matches!(stopped, Stopped::TooLarge) {
                self.options.too_large()
            } else {
                stopped.into()
            }
        })?;
        if length.is_some_and(|length| length != written.at) {
            return Err(inconsistent());
        }
        let published = put_in_place(place, written, self.options).await?;
        let mut response = done(published);
        if self.options.resumable && self.headers().contains_key(fields::UPLOAD_COMPLETE) {
            response.headers_mut().insert(fields::UPLOAD_COMPLETE, fields::complete(true));
        }
        Ok(response)
    }
}

/// 201 for a new file, 204 for one that took another's place.
pub(super) fn done(published: Published) -> Response<Body> {
    match published {
        Published::Created => {
            let mut response = Response::new(Body::from("stored\n"));
            *response.status_mut() = StatusCode::CREATED;
            response
        }
        Published::Replaced => empty(StatusCode::NO_CONTENT),
    }
}
