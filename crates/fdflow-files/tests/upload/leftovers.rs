//! What a program leaves that is killed, and who removes it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fdflow_files::UploadOptions;

use crate::drop_box::{Client, DropBox, names, noise};

const SERVED: &str = "FDFLOW_TEST_SERVED";

/// Not a test of its own: the program that is killed.
#[test]
fn a_server_in_a_process_of_its_own() {
    let Ok(path) = std::env::var(SERVED) else { return };
    let drop_box = DropBox::at(Path::new(&path), UploadOptions::new().unnamed(false));
    println!("address {}", drop_box.address);
    let mut end = [0];
    let _parent_is_gone = std::io::stdin().read(&mut end);
}

/// Starts it, and connects to it.
fn serve(path: &Path) -> (Child, Client) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "leftovers::a_server_in_a_process_of_its_own", "--nocapture"])
        .env(SERVED, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut addresses = lines.map_while(Result::ok).filter_map(|line| {
        let (_, address) = line.split_once("address ")?;
        address.trim().parse::<std::net::SocketAddr>().ok()
    });
    let address = addresses.next().expect("an address");
    let stream = std::net::TcpStream::connect(address).expect("a connection");
    (child, Client::new(stream))
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn what_a_killed_program_leaves_is_removed_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("in/ner");
    std::fs::create_dir_all(&inner).expect("folders");
    let (mut child, mut client) = serve(folder.path());
    client.request("PUT /in/ner/a", Some(3_000_000));
    client.send(&noise(1_000_000, 1));
    until("a draft is there", || names(&inner).len() == 1);
    child.kill().and_then(|()| child.wait()).expect("killed");
    assert!(names(&inner)[0].starts_with(".fdflow-draft-"));
    let mut drop_box = DropBox::at(folder.path(), UploadOptions::new());
    until("it is removed", || names(&inner).is_empty());
    assert_eq!(drop_box.left(), ["in"]);
}

#[test]
fn what_a_living_program_writes_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut child, mut client) = serve(folder.path());
    let bytes = noise(3_000_000, 1);
    client.request("PUT /a", Some(bytes.len()));
    client.send(&bytes[..1_000_000]);
    until("a draft is there", || names(folder.path()).len() == 1);
    // A leftover beside it shows that the second has looked.
    std::fs::write(folder.path().join(".fdflow-draft-left"), b"").expect("a file");
    std::fs::create_dir(folder.path().join("z")).expect("a folder");
    std::fs::write(folder.path().join("z/.fdflow-draft-left"), b"").expect("a file");
    let mut drop_box = DropBox::at(folder.path(), UploadOptions::new());
    until("the leftovers are removed", || names(&folder.path().join("z")).is_empty());
    client.send(&bytes[1_000_000..]);
    assert_eq!(client.answer().status, 201);
    assert_eq!(drop_box.left(), ["a", "z"]);
    assert!(drop_box.read("a") == bytes);
    child.kill().and_then(|()| child.wait()).expect("killed");
}
