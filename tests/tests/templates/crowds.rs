//! nginx with the rendered site and more visitors than it was made for: idle ones, ones that stay, and
//! ones that ask without end. Health and the agent's own way in must not notice.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;

use jitsi_templates::{Memory, layout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::fixture::{DOMAIN, MEMORY};
use crate::nginx::{Web, alone, answer, status};
use crate::xmpp::{Tls, http};

/// Sockets without a word: more than all of nginx's workers have room for, within what a process may open.
const IDLE: usize = 9000;

/// nginx, and a Prosody that lets every WebSocket in and keeps it.
fn start() -> Option<Web> {
    let web = alone()?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let prosody = web.machine.listen(layout::PROSODY_HTTP_PORT);
    std::thread::spawn(move || {
        let mut inside = Vec::new();
        while let Ok((mut stream, _)) = prosody.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream
                .write_all(b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
            inside.push(stream);
        }
    });
    let jicofo = web.machine.listen(layout::JICOFO_PORT);
    let room = |_: &str| Some("HTTP/1.0 200 x\r\n\r\n{\"ready\":true}".to_owned());
    answer(move || jicofo.accept().ok().map(|(stream, _)| stream), room);
    Some(web)
}

impl Web {
    /// Asks as a visitor from `address` or, on another port than 443, as somebody of this machine;
    /// gives the status line and what is left of the connection.
    fn visit(&self, port: u16, address: &str, request: &str) -> (String, Tls) {
        let mut stream = self.connect(port);
        let forwarded = format!("Host: {DOMAIN}\r\nX-Forwarded-For: {address}\r\n");
        stream.write_all(format!("{request} HTTP/1.1\r\n{forwarded}").as_bytes()).unwrap();
        stream
            .write_all(b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        (String::from_utf8_lossy(&head[9..]).into_owned(), stream)
    }

    /// So many `WebSocket`s of one visitor.
    fn stay(&self, address: &str, many: u32) -> Vec<(String, Tls)> {
        (0..many).map(|_| self.visit(443, address, "GET /xmpp-websocket?room=r")).collect()
    }

    /// The load balancer's check and all the agent asks for.
    fn assert_well(&self, when: &str) {
        let health = http(
            self.connect(layout::HEALTH_PORT),
            "GET /healthz HTTP/1.1\r\nHost: 10.20.3.7\r\nConnection: close\r\n\r\n",
        );
        assert_eq!(status(&health), "200", "{when}");
        for (request, expected) in [
            ("GET /config.js", "200"),
            ("GET /xmpp-websocket?room=r", "101"),
            ("POST /conference-request/v1", "200"),
        ] {
            let (status, _) = self.visit(layout::INSIDE_PORT, "198.51.100.9", request);
            assert_eq!(status, expected, "{when}: {request}");
        }
    }
}

#[test]
fn people_stay_up_to_the_limit_and_one_company_cannot_take_it_all() {
    let Some(web) = start() else { return };
    let all = Memory::for_total(MEMORY).unwrap().visits;
    let company = all / 4;
    let mut people = Vec::new();
    for address in ["198.51.100.1", "198.51.100.2", "198.51.100.3"] {
        people.extend(web.stay(address, company));
        let (status, _) = web.visit(443, address, "GET /xmpp-websocket?room=r");
        assert_eq!(status, "429", "{address} has its share");
    }
    for last in 4..=7 {
        people.extend(web.stay(&format!("198.51.100.{last}"), company / 4));
    }
    assert_eq!(people.iter().filter(|(status, _)| status == "101").count(), all as usize);
    let (refused, _) = web.visit(443, "198.51.100.8", "GET /xmpp-websocket?room=r");
    assert_eq!(refused, "429", "the house is full");
    web.assert_well("the house is full");
}

#[test]
fn whoever_asks_for_rooms_without_end_keeps_nobody_else_from_one() {
    let Some(web) = start() else { return };
    let rooms = |address: &str, many: u32| {
        let ask = |_| web.visit(443, address, "POST /conference-request/v1").0;
        (0..many).map(ask).filter(|status| status == "200").count()
    };
    assert_eq!(rooms("198.51.100.1", 60), 60, "a company whose meetings all begin now");
    assert!(rooms("198.51.100.1", 300) < 300);
    assert_eq!(rooms("198.51.100.2", 1), 1);
    web.assert_well("many rooms were asked for");
}

#[test]
fn sockets_without_a_word_make_room_for_whoever_says_something() {
    let Some(web) = start() else { return };
    let (done, idle) = mpsc::channel();
    web.machine.inside(move || {
        let sockets: Vec<_> =
            (0..IDLE).filter_map(|_| TcpStream::connect(("127.0.0.1", 443)).ok()).collect();
        done.send(sockets).unwrap();
    });
    let idle = idle.recv().unwrap();
    assert_eq!(idle.len(), IDLE);
    web.assert_well("thousands of sockets are open");
    assert_eq!(web.visit(443, "198.51.100.1", "GET /standup").0, "200", "a visitor");
}
