use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

fn tcp() -> (TcpStream, TcpStream) {
    let l = TcpListener::bind("127.0.0.1:0").unwrap();
    let a = TcpStream::connect(l.local_addr().unwrap()).unwrap();
    (a, l.accept().unwrap().0)
}

#[test]
fn smoke() {
    let dir = tempfile::tempdir().unwrap();
    let data: Vec<u8> = (0..3_000_000u32).map(|i| (i * 7 % 251) as u8).collect();
    std::fs::write(dir.path().join("a"), &data).unwrap();
    let r = fdflow::copy(
        &mut File::open(dir.path().join("a")).unwrap(),
        &mut File::create(dir.path().join("b")).unwrap(),
    )
    .unwrap();
    println!("{r}");
    assert_eq!(std::fs::read(dir.path().join("b")).unwrap(), data);
    let (mut a, mut b) = tcp();
    let t = std::thread::spawn(move || {
        let mut v = vec![];
        b.read_to_end(&mut v).unwrap();
        v
    });
    let r = fdflow::copy(&mut File::open(dir.path().join("a")).unwrap(), &mut a).unwrap();
    println!("{r}");
    drop(a);
    assert_eq!(t.join().unwrap(), data);
    let (mut a, mut b) = tcp();
    let (mut c, mut d) = tcp();
    let t = std::thread::spawn(move || {
        let mut v = vec![];
        d.read_to_end(&mut v).unwrap();
        v
    });
    let d2 = data.clone();
    let w = std::thread::spawn(move || {
        a.write_all(&d2).unwrap();
    });
    let r = fdflow::copy(&mut b, &mut c).unwrap();
    println!("{r}");
    drop(c);
    w.join().unwrap();
    assert_eq!(t.join().unwrap(), data);
    let r = fdflow::copy(
        &mut File::open("/proc/self/status").unwrap(),
        &mut File::create(dir.path().join("p")).unwrap(),
    )
    .unwrap();
    println!("{r}");
    let r = fdflow::copy(
        &mut File::open("/proc/self/status").unwrap(),
        &mut File::options().append(true).open(dir.path().join("b")).unwrap(),
    )
    .unwrap();
    println!("{r}");
}
