//! A proxy as the only way to AWS: it tunnels to names that nobody here could resolve, behind which the
//! emulator stands with TLS of its own.

use std::{
    fs,
    net::SocketAddr,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};

use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::Emulator,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional,
    },
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

const AWS: &str = "aws.invalid";

/// What a client said to the proxy before its tunnel.
type Heard = Arc<Mutex<Vec<String>>>;

/// TLS for [`AWS`], and the authority to trust as PEM.
fn tls() -> (TlsAcceptor, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let trusted = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([AWS.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), trusted)
}

/// A proxy that tunnels to [`AWS`] and nowhere else.
async fn proxy(tls: TlsAcceptor, emulator: SocketAddr) -> (SocketAddr, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Heard::default();
    let hears = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, hears) = (tls.clone(), Arc::clone(&hears));
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                hears.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
                if !head.starts_with(&format!("CONNECT {AWS}:443 ")) {
                    let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
                    return;
                }
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                // Who hangs up in between has seen enough.
                if let Ok(mut visitor) = tls.accept(stream).await {
                    let mut aws = TcpStream::connect(emulator).await.unwrap();
                    let _ = copy_bidirectional(&mut visitor, &mut aws).await;
                }
            });
        }
    });
    (address, heard)
}

async fn run(mut command: Command) -> Run {
    tokio::task::spawn_blocking(move || Run::of(&mut command)).await.unwrap()
}

#[tokio::test]
async fn every_call_goes_through_the_proxy_of_the_environment() {
    let account = Emulator::shared().account().await;
    let emulator = account.endpoint.strip_prefix("http://").unwrap().parse().unwrap();
    let jitsi = Deployment::new(account, "proxied");
    let (tls, trusted) = tls();
    fs::write(jitsi.path("trusted.pem"), trusted).unwrap();
    let (proxy, heard) = proxy(tls, emulator).await;
    let mut command = jitsi.command(&["setup", "iam", "--yes", "-v"]);
    command
        .env("AWS_ENDPOINT_URL", format!("https://{AWS}"))
        .env("SSL_CERT_FILE", jitsi.path("trusted.pem"))
        .env("HTTPS_PROXY", format!("http://somebody:pass%20word@{proxy}"))
        .env("NO_PROXY", "example.org,169.254.169.254");
    let run = run(command).await;
    assert_eq!(run.code, 0, "{}\n{}", run.stdout, run.stderr);
    let heard = heard.lock().unwrap();
    assert!(!heard.is_empty());
    for head in heard.iter() {
        // somebody:pass word
        assert!(
            head.to_lowercase().contains("proxy-authorization: basic c29tzwjvzhk6cgfzcyb3b3jk"),
            "{head}"
        );
    }
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(!said.contains("pass") && !said.contains("c29tZWJvZHk6"), "{said}");
}

/// A proxy that answers every CONNECT with this, and hangs up when its client has.
async fn unwilling(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut heard = [0; 1 << 12];
                let _heard = stream.read(&mut heard).await;
                // Who has heard enough does not take all of it.
                if stream.write_all(&answer).await.is_ok() && !answer.is_empty() {
                    while stream.read(&mut heard).await.is_ok_and(|read| read > 0) {}
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn whatever_a_proxy_answers_it_is_told_that_it_was_the_proxy() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    let page = "Content-Type: text/html\r\n\r\n<html><title>Web filter</title>{ \"a\": 1 }</html>";
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "X-A: aaaaaaaa\r\n".repeat(1 << 20));
    let runs = [
        (format!("HTTP/1.1 200 OK\r\n{page}"), ""),
        (format!("HTTP/1.1 403 Forbidden\r\n{page}"), "the proxy refuses to connect to AWS"),
        ("HTTP/1.1 407 Who?\r\n\r\n".to_owned(), "the proxy asks for a user and a password"),
        (endless, "the proxy "), // in which words depends on what comes in one piece
        (String::new(), "the proxy hangs up instead of connecting to AWS"),
    ]
    .map(|(answer, words)| {
        let mut command = jitsi.command(&["plan"]);
        command.env("AWS_ENDPOINT_URL", format!("https://{AWS}"));
        tokio::spawn(async move {
            let proxy = unwilling(answer.into_bytes()).await;
            command.env("HTTPS_PROXY", format!("http://{proxy}"));
            (run(command).await, words, proxy)
        })
    });
    // Tries again take their time: all at once.
    for run in runs {
        let (run, words, proxy) = run.await.unwrap();
        let said = &run.stderr;
        assert!(matches!(run.code, 1 | 2), "{said}");
        let error = said.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(error.contains("asking AWS who we are: ") && error.contains(words), "{said}");
        assert!(said.contains(&format!("go through the proxy {proxy}")), "{said}");
        for word in crate::answers::DEBUG.iter().chain(&["tunnel error"]) {
            assert!(!said.contains(word), "`{word}` in {said}");
        }
    }
}

#[tokio::test]
async fn what_is_no_proxy_is_refused_before_the_first_call_and_not_shown() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    let mut command = jitsi.command(&["plan", "-v"]);
    // Nobody listens there: a call would be seen as an error of another kind.
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    command.env("https_proxy", "socks5://somebody:secret@proxy.example.org:1080");
    let run = run(command).await;
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stderr.contains("https_proxy is not the address of an HTTP proxy"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("export https_proxy=http://HOST:PORT"), "{}", run.stderr);
    assert!(!run.stderr.contains("secret"), "{}", run.stderr);
}

#[tokio::test]
async fn a_machine_that_trusts_nobody_is_told_what_to_install() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    let mut command = jitsi.command(&["plan"]);
    command.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/dev/null");
    let run = run(command).await;
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("trusts no certificate authority"), "{}", run.stderr);
    assert!(run.stderr.contains("apt-get install ca-certificates"), "{}", run.stderr);
}
