//! A folder in an axum program, its files sent by sendfile: `cargo run --example folder -- DIR`.

use axum::Router;
use axum::routing::get;
use fdflow_files::Files;
use fdflow_hyper::Listener;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).unwrap_or_else(|| ".".into());
    let app = Router::new()
        .route("/api/health", get(|| async { "well" }))
        .fallback_service(Files::new(folder)?);
    let listener = Listener::new(TcpListener::bind("127.0.0.1:8081").await?);
    println!("http://127.0.0.1:8081/");
    axum::serve(listener, app).await
}
