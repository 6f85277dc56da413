//! Ctrl-C and its kin: the transfer ends in order, and no socket path stays behind.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use fdflow::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::FAILED;

/// What a signal does at the moment.
#[derive(Debug, Default)]
struct State {
    cancel: Option<Cancel>,
    sockets: Vec<PathBuf>,
}

/// The thread that waits for signals, and what it is to do.
#[derive(Debug)]
pub(crate) struct Interrupt {
    state: Arc<Mutex<State>>,
}

impl Interrupt {
    /// Begins to wait for signals. Until [`moving`](Self::moving) they end the program.
    pub(crate) fn watch() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        // SIGXFSZ is only kept from killing: the write that is too far answers EFBIG then.
        if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGXFSZ]) {
            let state = Arc::clone(&state);
            std::thread::spawn(move || {
                for signal in signals.forever().filter(|signal| *signal != SIGXFSZ) {
                    answer(&state, signal);
                }
            });
        }
        Self { state }
    }

    /// From now on a first signal cancels the transfer, and a second one ends the program.
    pub(crate) fn moving(&self, cancel: Cancel) {
        self.lock().cancel = Some(cancel);
    }

    /// A socket path that we made.
    pub(crate) fn made(&self, path: PathBuf) {
        self.lock().sockets.push(path);
    }

    /// Takes the paths that we made away again.
    pub(crate) fn remove_sockets(&self) {
        remove(&mut self.lock());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.remove_sockets();
    }
}

fn answer(state: &Mutex<State>, signal: i32) {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cancel) = state.cancel.take() {
        cancel.cancel();
        return;
    }
    remove(&mut state);
    let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
    eprintln!("fdflow: copy: interrupted by {name} before anything was moved");
    std::process::exit(FAILED.into());
}

fn remove(state: &mut State) {
    for path in state.sockets.drain(..) {
        // Gone already is as good.
        let _gone = std::fs::remove_file(path).is_ok();
    }
}
