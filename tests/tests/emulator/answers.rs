//! What stands in AWS's place: a proxy's page, nothing, half an answer, one without end; and files of this
//! machine that are none. All of it is told in an operator's words, and none of it fills the memory.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::Emulator,
};

/// What a program says of itself and not of what happened.
pub(crate) const DEBUG: [&str; 10] = [
    "Some(",
    "None",
    "Unhandled",
    "ConnectorError",
    "SdkBody",
    "{ ",
    "\\\"",
    "0x",
    "Error(",
    "os error",
];

/// A server that says this to everybody; its address.
fn server(answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = Arc::clone(&answer);
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut heard = [0; 1 << 14];
                // The whole request is smaller; what it says makes no difference.
                let _ = stream.read(&mut heard);
                answer(&mut stream);
            });
        }
    });
    format!("http://{address}")
}

/// Says these bytes and hangs up.
fn saying(head: &str, body: &[u8], length: usize) -> String {
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let bytes = [head.as_bytes(), body].concat();
    server(move |stream| {
        let _gone = stream.write_all(&bytes);
    })
}

#[tokio::test]
async fn whatever_answers_in_awss_place_is_told_in_plain_words() {
    let page = b"<!DOCTYPE html>\n<html><head><title>Web filter: access denied</title></head>{ \"a\": 1 }</html>";
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 75, 4, 0, 0x43, 0xbe, 0xb7, 0xe8, 1, 0, 0, 0];
    let html = "200 OK\r\nContent-Type: text/html";
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let cases = [
        ("a page", saying(html, page, page.len()), "a page, \"Web filter: access denied\""),
        (
            "a refusal",
            saying("403 Forbidden\r\nContent-Type: text/html", page, page.len()),
            "HTTP 403 with a page",
        ),
        (
            "an outage",
            saying("503 Busy\r\nContent-Type: text/html", page, page.len()),
            "HTTP 503 with a page",
        ),
        ("nothing", saying("200 OK", b"", 0), "AWS"),
        ("half of it", saying("200 OK\r\nContent-Type: text/xml", b"<GetCaller", 1_000), "closed"),
        (
            "packed",
            saying("200 OK\r\nContent-Type: text/xml\r\nContent-Encoding: gzip", &gzip, gzip.len()),
            "21 bytes",
        ),
        (
            "another protocol",
            server(|stream| {
                let _gone = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
            }),
            "speaks no HTTP",
        ),
        (
            "no end",
            server(move |stream| {
                let head =
                    "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n\r\n<a>";
                let _gone = stream.write_all(head.as_bytes());
                let piece = vec![b'x'; 1 << 16];
                // More than anybody may take, should nobody stop it.
                for _ in 0..(1 << 30) / piece.len() {
                    if stream.write_all(&piece).is_err() {
                        break;
                    }
                    counted.fetch_add(piece.len(), Ordering::Relaxed);
                }
            }),
            "longer than any answer from AWS",
        ),
    ];
    // All at once: tries again take their time.
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    let children = cases.map(|(what, endpoint, told)| {
        let mut command = jitsi.command(&["plan"]);
        command.env("AWS_ENDPOINT_URL", endpoint).stdout(Stdio::piped()).stderr(Stdio::piped());
        (what, told, command.spawn().unwrap())
    });
    for (what, told, child) in children {
        let run = Run::from(child.wait_with_output().unwrap());
        assert!(matches!(run.code, 1 | 2), "{what}: {run:?}");
        assert_eq!(run.stdout, "", "{what}");
        let error = run.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(
            error.contains("asking AWS who we are") && error.contains(told),
            "{what}: {}",
            run.stderr
        );
        for word in DEBUG {
            assert!(!run.stderr.contains(word), "{what}: `{word}` in {}", run.stderr);
        }
        let longest = run.stderr.lines().map(|line| line.chars().count()).max();
        assert!(longest.is_some_and(|longest| longest < 400), "{what}: {}", run.stderr);
    }
    // Six attempts of 32 MiB, and what was under way in the sockets.
    let sent = sent.load(Ordering::Relaxed) >> 20;
    assert!(sent < 256, "{sent} MiB were taken");
}

/// The command with no more memory than a file of a sensible size takes, and with an end.
fn bounded(command: &Command) -> Command {
    let mut bounded = Command::new("timeout");
    bounded.args(["60", "/bin/sh", "-c", "ulimit -v 4000000; exec \"$0\" \"$@\""]);
    bounded.arg(command.get_program()).args(command.get_args()).env_clear();
    bounded.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bounded.current_dir(command.get_current_dir().unwrap()).stdin(Stdio::null());
    bounded
}

#[tokio::test]
async fn files_that_are_none_or_without_end_are_refused() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    let pipe = jitsi.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let huge = jitsi.path("huge");
    std::fs::File::create(&huge).unwrap().set_len(20 << 30).unwrap();
    let kinds = [
        ("/dev/zero", "is a device"),
        (pipe.to_str().unwrap(), "is a pipe"),
        (huge.to_str().unwrap(), "is larger than"),
        (jitsi.path("").to_str().unwrap(), "is a directory"),
    ]
    .map(|(path, told)| (path.to_owned(), told));
    for (path, told) in &kinds {
        let refuses = |command: &Command, what: &str| {
            let run = Run::of(&mut bounded(command));
            assert_eq!(run.code, 1, "{what} {path}: {}", run.stderr);
            assert!(
                run.stderr.contains(told) && run.stderr.contains("hint: "),
                "{what} {path}: {}",
                run.stderr
            );
            assert!(!run.stderr.contains("os error"), "{what} {path}: {}", run.stderr);
        };
        for variable in
            ["AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"]
        {
            refuses(jitsi.command(&["plan"]).env(variable, path), variable);
        }
        refuses(&jitsi.command(&["plan", "--config", path]), "configuration");
        for (key, name) in
            [("certificate", "cert.pem"), ("private_key", "key.pem"), ("chain", "chain.pem")]
        {
            jitsi.configure(|text| {
                text.replace(&format!("{key} = \"{name}\""), &format!("{key} = \"{path}\""))
            });
            refuses(&jitsi.command(&["plan", "lb"]), key);
        }
        if *told != "is larger than" {
            let words = ["--name", "abc", "--domain", "meet.example.org", "--request-certificate"];
            let place = ["init", "--force", "--region", "eu-central-1", "--config", path];
            refuses(&jitsi.command(&[&place[..], &words].concat()), "init");
        }
        if *told != "is a directory" {
            jitsi.configure(|text| {
                text.replace("binary = \"agent\"", &format!("binary = \"{path}\""))
            });
            let run = Run::of(&mut bounded(&jitsi.command(&["plan", "instances"])));
            assert_eq!(run.code, 1, "agent {path}: {}", run.stderr);
        }
        jitsi.configure(str::to_owned);
    }
    // The key that is made here is not looked for anywhere else.
    std::fs::create_dir_all(jitsi.path(".ssh")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", jitsi.path(".ssh/jitsi-aws-jitsi")).unwrap();
    let run = Run::of(&mut bounded(&jitsi.command(&["plan", "iam"])));
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("is a device"), "{}", run.stderr);
    // Whom to trust comes from a file, too.
    let run =
        Run::of(&mut bounded(jitsi.command(&["plan", "lb"]).env("SSL_CERT_FILE", "/dev/zero")));
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("trusts no certificate authority"), "{}", run.stderr);
}
