//! A camera's stream to a recording and to a client: `cargo run --example camera -- LISTEN FILE`.
//!
//! The first connection is the camera, the second the client. The recording is a mirror of what
//! flows to the client, made by `tee(2)`; when the client goes away, the recording goes on.

use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::thread;

use fdflow::{Operation, Pipe, Report};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: camera LISTEN FILE"));
    };
    let listener = TcpListener::bind(listen)?;
    let (camera, client) = (listener.accept()?.0, listener.accept()?.0);
    println!("{}", serve(camera, &File::create(path)?, &client)?);
    Ok(())
}

/// Until the camera ends; tells what was recorded.
pub(crate) fn serve(camera: TcpStream, recording: &File, client: &TcpStream) -> io::Result<Report> {
    let (frames, mut inlet) = Pipe::with_capacity(1 << 20)?.split();
    thread::scope(|scope| {
        // Closes the pipe at the camera's end.
        let filling = scope.spawn(move || inlet.fill_from(camera));
        let mut teed = frames.tee(recording);
        let mut sent = teed.drain_to(client);
        if let Err(error) = &sent
            && error.operation() != Operation::Tee
        {
            eprintln!("the client: {error}");
            let nowhere = File::options().write(true).open("/dev/null")?;
            sent = teed.drain_to(nowhere);
        }
        // Where the recording failed: closes the pipe, so that the camera is not read for ever.
        drop(teed);
        let filled = filling.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        sent?;
        Ok(filled?)
    })
}
