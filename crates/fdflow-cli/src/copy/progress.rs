//! The progress bar: bytes, rate, time left, route.

use std::io::{self, IsTerminal, Write};

use fdflow::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::{Args, When};

/// Redraws a second.
const RATE: u8 = 10;

/// A bar on standard error, if one is wanted there.
pub(crate) fn bar(args: &Args, length: Option<u64>) -> Option<ProgressBar> {
    let wanted = match args.progress {
        When::Auto => io::stderr().is_terminal(),
        When::Always => true,
        When::Never => false,
    };
    if !wanted {
        return None;
    }
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(RATE)
    } else {
        ProgressDrawTarget::term_like_with_hz(Box::new(Lines), RATE)
    };
    let bar = ProgressBar::with_draw_target(length, target);
    let template = match length {
        Some(_) => {
            "{bar:24} {percent:>3}%  {bytes}/{total_bytes}  {bytes_per_sec}  ETA {eta}  {msg}"
        }
        None => "{spinner} {bytes}  {bytes_per_sec}  {elapsed}  {msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    Some(bar)
}

/// What tells the bar of every step.
pub(crate) fn observer(bar: &ProgressBar) -> impl FnMut(Progress) + Send + 'static {
    let (bar, mut shown) = (bar.clone(), None);
    move |progress| {
        bar.set_position(progress.bytes);
        if shown != Some(progress.route) {
            bar.set_message(progress.route.name());
            shown = Some(progress.route);
        }
    }
}

/// Standard error where it is no terminal but a bar was asked for all the same: each state of
/// the bar is a line that a carriage return ends, without any other control.
#[derive(Debug)]
struct Lines;

impl TermLike for Lines {
    fn width(&self) -> u16 {
        100
    }
    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn write_line(&self, text: &str) -> io::Result<()> {
        writeln!(io::stderr(), "{text}")
    }
    fn write_str(&self, text: &str) -> io::Result<()> {
        write!(io::stderr(), "{text}")
    }
    fn clear_line(&self) -> io::Result<()> {
        write!(io::stderr(), "\r")
    }
    fn flush(&self) -> io::Result<()> {
        io::stderr().flush()
    }
}
