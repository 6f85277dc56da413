//! Claims: one request at a time is at an upload, and the latest has it.
//!
//! A client that resumes takes its earlier request for dead, while the server may still read from
//! it. So whoever comes stops whoever is there, waits until their last write has ended, and only
//! then looks at the offset. Between programs the file is locked.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as HttpBody, Frame, SizeHint};
use rustix::io::Errno;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard, watch};

use super::state::{self, State, data_name};
use super::unknown;
use crate::upload::clean;
use crate::upload::intake::{BoxError, blocking};
use crate::upload::refusal::Refusal;
use crate::upload::store::{Folder, Staged, lock_for_life};

/// A folder's identity, and an upload's.
type Key = ((u64, u64), String);

/// The uploads that requests are at.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    slots: Mutex<HashMap<Key, Weak<Slot>>>,
}

#[derive(Debug)]
struct Slot {
    /// The number of the latest who came.
    latest: watch::Sender<u64>,
    turn: Arc<Turn<()>>,
}

/// The right to be at an upload, until somebody else comes.
#[derive(Debug)]
pub(crate) struct Claim {
    number: u64,
    latest: watch::Receiver<u64>,
    _turn: OwnedMutexGuard<()>,
    _slot: Arc<Slot>,
}

impl Claims {
    /// Stops whoever is at it, and waits until they have gone.
    pub(super) async fn claim(&self, folder: (u64, u64), id: &str) -> Arc<Claim> {
        let slot = self.slot((folder, id.to_owned()));
        let mut number = 0;
        slot.latest.send_modify(|latest| {
            *latest += 1;
            number = *latest;
        });
        let latest = slot.latest.subscribe();
        let turn = Arc::clone(&slot.turn).lock_owned().await;
        Arc::new(Claim { number, latest, _turn: turn, _slot: slot })
    }

    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key).and_then(Weak::upgrade) {
            return slot;
        }
        slots.retain(|_, slot| slot.strong_count() > 0);
        let slot = Arc::new(Slot { latest: watch::Sender::new(0), turn: Arc::default() });
        slots.insert(key, Arc::downgrade(&slot));
        slot
    }
}

impl Claim {
    /// Takes the file that the claim is for, and locks it against other programs.
    pub(super) fn hold(self: &Arc<Self>, file: File) -> Result<Held, Refusal> {
        match lock_for_life(&file) {
            Err(Errno::WOULDBLOCK) => {
                let reason = "another server is at this upload";
                Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason))
            }
            // Where nothing can be locked, one program must do.
            _ => Ok(Held { file, claim: Arc::clone(self) }),
        }
    }
}

/// The bytes of an upload, claimed. Goes wherever they are written from, so that the claim lasts
/// until the last write has ended.
#[derive(Debug)]
pub(crate) struct Held {
    file: File,
    claim: Arc<Claim>,
}

impl Held {
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Tells when somebody else has come.
    pub(super) fn stops(&self) -> impl Future<Output = ()> + Send + use<> {
        let (number, mut latest) = (self.claim.number, self.claim.latest.clone());
        async move {
            // The sender lives in the slot, which the claim keeps.
            drop(latest.wait_for(|latest| *latest > number).await);
        }
    }

    /// Gives back blocks that were asked for and not used.
    pub(super) fn trim(&self, length: u64) -> rustix::io::Result<()> {
        rustix::fs::ftruncate(&self.file, length)
    }

    /// What is to be put in its place.
    pub(super) fn staged(&self, name: String) -> io::Result<Staged> {
        Ok(Staged::Kept(self.file.try_clone()?, OsString::from(name)))
    }
}

/// An upload that there is, claimed.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) folder: Arc<Folder>,
    pub(super) id: String,
    pub(super) state: State,
    pub(super) offset: u64,
    /// Its bytes; `None` where it is complete.
    pub(super) held: Option<Held>,
    _claim: Arc<Claim>,
}

impl Claimed {
    pub(super) fn open(
        folder: Arc<Folder>,
        id: String,
        claim: Arc<Claim>,
        expiry: Duration,
    ) -> Result<Self, Refusal> {
        let state = State::read(&folder, &id)?.ok_or_else(unknown)?;
        let data = OsString::from(data_name(&id));
        let seen = if state.complete { state::state_name(&id) } else { data.clone() };
        let stat = folder.look(&seen)?.ok_or_else(unknown)?;
        if clean::is_expired(&stat, expiry) {
            state::remove(&folder, &id)?;
            return Err(unknown());
        }
        if state.complete {
            let offset = state.length.unwrap_or(0);
            return Ok(Self { folder, id, state, offset, held: None, _claim: claim });
        }
        let file = state::open(&folder, &data)?.ok_or_else(unknown)?;
        let held = claim.hold(file)?;
        let offset = held.file.metadata()?.len();
        Ok(Self { folder, id, state, offset, held: Some(held), _claim: claim })
    }

    pub(super) fn remove(&self) -> Result<(), Refusal> {
        Ok(state::remove(&self.folder, &self.id)?)
    }

    pub(super) fn write_state(self) -> Result<Self, Refusal> {
        self.state.write(&self.folder, &self.id)?;
        Ok(self)
    }

    /// Its bytes have gone to their place: what is left tells so, for whoever has missed it.
    pub(super) fn finished(mut self) -> Result<(), Refusal> {
        self.state.complete = true;
        self.state.length = Some(self.offset);
        Ok(self.state.write(&self.folder, &self.id)?)
    }

    /// Removed, as nothing can become of it; the refusal that says so.
    pub(super) async fn given_up(self, refusal: Refusal) -> Refusal {
        match blocking(move || self.remove()).await {
            Ok(Err(error)) | Err(error) => error,
            Ok(Ok(())) => refusal,
        }
    }
}

/// A body that breaks off when somebody else has come to the same upload.
pub(super) struct Overtaken<'b, B> {
    body: Pin<&'b mut B>,
    stops: Pin<Box<dyn Future<Output = ()> + Send>>,
    stopped: bool,
}

impl<'b, B> Overtaken<'b, B> {
    pub(super) fn new(
        body: Pin<&'b mut B>,
        stops: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self { body, stops: Box::pin(stops), stopped: false }
    }

    pub(super) fn is_overtaken(&self) -> bool {
        self.stopped
    }
}

impl<B> HttpBody for Overtaken<'_, B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.stopped || self.stops.as_mut().poll(cx).is_ready() {
            self.stopped = true;
            return Poll::Ready(Some(Err("another request has taken over this upload".into())));
        }
        self.body.as_mut().poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
