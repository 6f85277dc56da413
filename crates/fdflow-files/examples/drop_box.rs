//! A drop box: takes uploads into a folder, by hyper alone.
//!
//! `cargo run --release -p fdflow-files --example drop_box -- FOLDER 127.0.0.1:8080`, then
//! `curl -T file http://127.0.0.1:8080/`.

use std::path::PathBuf;

use fdflow_files::{Symlinks, UploadOptions, Uploads};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_owned()));
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    // For measuring beside servers that do not sync.
    let durable = arguments.next().is_none_or(|word| word != "--not-durable");
    let service = Uploads::new(&folder, Symlinks::Inside, UploadOptions::new().durable(durable))?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    eprintln!("http://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                eprintln!("{error}");
            }
        });
    }
}
