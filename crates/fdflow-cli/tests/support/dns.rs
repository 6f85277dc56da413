//! A name server that a test plays.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::server::eventually;

/// What it answers.
#[derive(Default)]
struct Zone {
    records: HashMap<(String, RecordType), Vec<RData>>,
    /// Names about which it fails, but for AAAA records, of which it has none.
    failing: Vec<String>,
    /// How often each was asked for.
    asked: HashMap<String, usize>,
}

/// It answers until it is dropped.
pub struct NameServer {
    socket: UdpSocket,
    zone: Arc<Mutex<Zone>>,
}

impl NameServer {
    pub fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let zone = Arc::new(Mutex::new(Zone::default()));
        let (answers, known) = (socket.try_clone().unwrap(), Arc::clone(&zone));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let (n, from) = answers.recv_from(&mut buffer).unwrap();
                // Nothing says that it is over.
                if n == 0 {
                    return;
                }
                let answer = known.lock().unwrap().answer(&buffer[..n]);
                let _sent = answers.send_to(&answer, from).is_ok();
            }
        });
        Self { socket, zone }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Records of a service: priority, weight, port and host of each.
    pub fn srv(&self, name: &str, records: &[(u16, u16, SocketAddr, &str)]) {
        let mut zone = self.zone.lock().unwrap();
        let mut all = Vec::new();
        for (priority, weight, address, host) in records {
            let SocketAddr::V4(v4) = address else { panic!("{address}") };
            let host = Name::from_ascii(host).unwrap();
            let key = (host.to_ascii(), RecordType::A);
            zone.records.insert(key, vec![RData::A(A(*v4.ip()))]);
            all.push(RData::SRV(SRV::new(*priority, *weight, address.port(), host)));
        }
        zone.records.insert((name.to_owned(), RecordType::SRV), all);
    }

    /// There is no such name any more.
    pub fn forget(&self, name: &str) {
        self.zone.lock().unwrap().records.retain(|(known, _), _| known != name);
    }

    /// About this name it fails from now on, or does so no more.
    pub fn fail(&self, name: &str, fails: bool) {
        let mut zone = self.zone.lock().unwrap();
        zone.failing.retain(|known| known != name);
        if fails {
            zone.failing.push(name.to_owned());
        }
    }

    /// Waits until a look-up that begins from now on is over.
    pub fn is_asked_again(&self, name: &str) {
        let asked = || self.zone.lock().unwrap().asked.get(name).copied().unwrap_or(0);
        let before = asked();
        // The first may be one that began before; at the third the second is over.
        eventually(|| asked() >= before + 3, "three look-ups");
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _sent = self.socket.send_to(&[], self.address()).is_ok();
    }
}

impl Zone {
    fn answer(&mut self, question: &[u8]) -> Vec<u8> {
        let question = Message::from_vec(question).unwrap();
        let query = question.queries[0].clone();
        let name = query.name().to_ascii();
        *self.asked.entry(name.clone()).or_default() += 1;
        let mut answer = Message::response(question.metadata.id, OpCode::Query);
        answer.add_query(query.clone());
        let records = self.records.get(&(name.clone(), query.query_type()));
        if self.failing.contains(&name) && query.query_type() != RecordType::AAAA {
            answer.metadata.response_code = ResponseCode::ServFail;
        } else if let Some(records) = records {
            let record = |data: &RData| Record::from_rdata(query.name().clone(), 60, data.clone());
            answer.add_answers(records.iter().map(record));
        } else if !self.records.keys().any(|(known, _)| *known == name) {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        answer.to_vec().unwrap()
    }
}
