//! nginx with the rendered site, an agent that says what the test wants, and upstreams that tell
//! what they were asked.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use jitsi_templates::layout;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::CertificateDer;
use serde_json::json;

use crate::fixture::{DOMAIN, least_modules, settings, site};
use crate::machine::Machine;
use crate::xmpp::{Tls, http, tls};
use crate::{have, is_root};

pub(crate) struct Web {
    pub(crate) machine: Machine,
    certificate: CertificateDer<'static>,
    /// What the agent answers.
    agent: Arc<AtomicU16>,
}

/// nginx with upstreams that answer with the request.
fn start() -> Option<Web> {
    let web = alone()?;
    for port in [layout::PROSODY_HTTP_PORT, layout::JICOFO_PORT] {
        let listener = web.machine.listen(port);
        let echo = |request: &str| Some(format!("HTTP/1.0 200 x\r\n\r\n{request}"));
        answer(move || listener.accept().ok().map(|(stream, _)| stream), echo);
    }
    Some(web)
}

/// nginx with an agent and no other upstream.
pub(crate) fn alone() -> Option<Web> {
    let programs = ["nginx", "unshare", "nsenter", "ip"];
    if !have(&programs, "apt-get install nginx-light iproute2") || !is_root() {
        return None;
    }
    let mut files = site(&settings(&json!({})), &least_modules());
    files.retain(|file| !file.path.starts_with("/etc/prosody"));
    let mut machine = Machine::new(&files);
    for path in layout::UNWANTED {
        machine.ok("rm", &["-f", path]);
    }
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([DOMAIN.to_owned()]).unwrap();
    let web = "/usr/share/jitsi-meet";
    for (path, text) in [
        (layout::NGINX_CERTIFICATE, cert.pem()),
        (layout::NGINX_KEY, signing_key.serialize_pem()),
        (&format!("{web}/index.html"), "<html><!--#echo var=\"uri\" --> the app</html>".into()),
        (&format!("{web}/libs/app.wasm"), "wasm".into()),
        (&format!("{web}/sounds/knock.wav"), "knock".into()),
        (&format!("{web}/static/404.html"), "no such page".into()),
    ] {
        machine.put(Path::new(path), &text, "root", "root", 0o644);
    }
    let agent = Arc::new(AtomicU16::new(200));
    let status = Arc::clone(&agent);
    // 0 stands for an agent that is silent.
    let listener = machine.listen_at(layout::AGENT_SOCKET);
    answer(
        move || listener.accept().ok().map(|(stream, _)| stream),
        move |_| {
            let status = status.load(Ordering::SeqCst);
            (status > 0).then(|| format!("HTTP/1.0 {status} x\r\n\r\nagent\n"))
        },
    );
    let said = machine.ok("nginx", &["-t"]);
    assert!(!said.contains("[warn]"), "{said}");
    machine.serve("nginx", &["-g", "daemon off;"], 443);
    Some(Web { machine, certificate: cert.der().clone(), agent })
}

/// Answers every request with what `f` makes of its head; `None` closes without an answer.
pub(crate) fn answer<S: Read + Write>(
    mut accept: impl FnMut() -> Option<S> + Send + 'static,
    f: impl Fn(&str) -> Option<String> + Send + 'static,
) {
    std::thread::spawn(move || {
        while let Some(mut stream) = accept() {
            let mut head = String::new();
            let mut byte = [0];
            while !head.ends_with("\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(char::from(byte[0]));
            }
            if let Some(text) = f(&head) {
                let _ = stream.write_all(text.as_bytes());
            }
        }
    });
}

impl Web {
    /// A TLS connection to one of nginx's ports.
    pub(crate) fn connect(&self, port: u16) -> Tls {
        tls(self.machine.connect(port), &self.certificate, DOMAIN)
    }

    fn get(&self, path: &str) -> String {
        self.ask("GET", path, "")
    }

    fn ask(&self, method: &str, path: &str, headers: &str) -> String {
        let stream = self.connect(443);
        let host = "10.20.3.7"; // the load balancer asks health by address
        http(
            stream,
            &format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n"
            ),
        )
    }
}

pub(crate) fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

#[test]
fn health_is_the_agents_and_only_the_agents() {
    let Some(web) = start() else { return };
    assert!(web.get("/healthz").contains("agent\n"));
    web.agent.store(503, Ordering::SeqCst);
    assert_eq!(status(&web.get("/healthz")), "503");
    web.agent.store(0, Ordering::SeqCst);
    assert_eq!(status(&web.get("/healthz")), "502");
}

#[test]
fn the_load_balancers_port_has_health_and_nothing_else() {
    let Some(web) = start() else { return };
    let ask = |path: &str| {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: 10.20.3.7\r\nConnection: close\r\n\r\n");
        http(web.connect(layout::HEALTH_PORT), &request)
    };
    assert!(ask("/healthz").contains("agent\n"));
    web.agent.store(503, Ordering::SeqCst);
    assert_eq!(status(&ask("/healthz")), "503");
    for path in ["/", "/standup", "/config.js", "/http-bind", "/status"] {
        assert_eq!(status(&ask(path)), "404", "{path}");
    }
}

#[test]
fn visitors_are_told_when_no_meeting_can_be_held() {
    let Some(web) = start() else { return };
    for page in ["/", "/standup"] {
        let answer = web.get(page);
        assert_eq!(status(&answer), "200", "{page}: {answer}");
        assert!(answer.contains("/index.html the app"), "{page}: {answer}");
    }
    web.agent.store(503, Ordering::SeqCst);
    for page in ["/", "/standup", "/standup?jwt=x"] {
        let answer = web.get(page);
        assert_eq!(status(&answer), "503", "{page}: {answer}");
        assert!(answer.contains("Retry-After: 15"), "{page}: {answer}");
        assert!(answer.contains("Meetings are not possible right now"), "{page}: {answer}");
        assert!(answer.contains(DOMAIN), "{page}: {answer}");
    }
    // Running meetings go on.
    assert_eq!(status(&web.get("/http-bind?room=r")), "200");
    assert_eq!(status(&web.get("/libs/app.wasm?v=1")), "200");
    // A silent agent says nothing against a meeting.
    web.agent.store(0, Ordering::SeqCst);
    assert_eq!(status(&web.get("/standup")), "200");
    assert_eq!(status(&web.get("/_ready")), "404");
}

#[test]
fn upstreams_see_the_public_name_and_the_clients_address() {
    let Some(web) = start() else { return };
    let forwarded = "X-Forwarded-For: 192.0.2.1, 198.51.100.7\r\n";
    for path in ["/http-bind", "/xmpp-websocket"] {
        let asked = web.ask("GET", &format!("{path}?room=r&token=t"), forwarded);
        assert!(asked.contains(&format!("GET {path}?room=r&token=t ")), "{asked}");
        assert!(asked.contains(&format!("Host: {DOMAIN}\r\n")), "{asked}");
        // The last address the load balancer added; what a client sent itself is not believed.
        assert!(asked.contains("X-Forwarded-For: 198.51.100.7\r\n"), "{asked}");
    }
    let upgrade = "Upgrade: websocket\r\nSec-WebSocket-Protocol: xmpp\r\n";
    let asked = web.ask("GET", "/xmpp-websocket", upgrade);
    assert!(asked.contains("Connection: upgrade\r\n") && asked.contains("Upgrade: websocket\r\n"));
    let asked = web.ask("POST", "/conference-request/v1", "Content-Length: 0\r\n");
    assert!(asked.contains("POST /conference-request/v1 "), "{asked}");
}

#[test]
fn static_files_have_their_types() {
    let Some(web) = start() else { return };
    let answer = web.get("/libs/app.wasm?v=1");
    assert!(answer.contains("Content-Type: application/wasm"), "{answer}");
    assert!(answer.contains("Cache-Control: max-age=31536000"), "{answer}");
    assert!(answer.contains("Access-Control-Allow-Origin: *"), "{answer}");
    let answer = web.get("/sounds/knock.wav");
    assert!(answer.contains("Content-Type: audio/wav"), "{answer}");
    assert!(!answer.contains("Cache-Control"), "{answer}");
    let answer = web.get("/config.js");
    assert!(answer.contains("Content-Type: application/javascript"), "{answer}");
    assert!(answer.contains(&format!("wss://{DOMAIN}/xmpp-websocket")), "{answer}");
    let answer = web.get("/no/such");
    assert_eq!(status(&answer), "404");
    assert!(answer.contains("no such page"));
    assert_eq!(status(&web.get("/libs/../../../etc/passwd")), "400");
}

#[test]
fn tokens_are_not_logged() {
    let Some(web) = start() else { return };
    web.ask("GET", "/standup?jwt=geheim", "Referer: https://x.example/r?a=1&jwt=geheim\r\n");
    web.get("/xmpp-websocket?room=r&token=geheim");
    web.get("/libs/missing?jwt=geheim");
    // Whatever looks like a token, wherever it stands, and when there is no upstream, too.
    let token = format!("{0}.{0}.{0}", "geheim0123456789_-AZ");
    web.ask("GET", &format!("/{token}"), &format!("Referer: https://x.example/{token}\r\n"));
    web.ask("GET", "/", &format!("User-Agent: {token}\r\n"));
    web.machine.ok("rm", &[layout::AGENT_SOCKET]);
    assert_eq!(status(&web.get("/standup?jwt=geheim")), "200");
    web.get("/healthz?jwt=geheim");
    let log = web.machine.ok("sh", &["-c", "cat /var/log/nginx/*.log"]);
    assert!(!log.contains("geheim"), "{log}");
    assert!(log.contains("GET /standup?redacted"), "{log}");
    assert!(log.contains("https://x.example/r?redacted"), "{log}");
    assert!(!log.contains("healthz"), "{log}");
}
