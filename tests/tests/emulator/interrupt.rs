//! Ctrl-C: calls that are under way end, nothing new begins, and the next run goes on.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Child, Stdio},
    sync::{Arc, Mutex, Once},
    thread,
};

use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::{Account, Emulator},
    inventory,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::operators::write_lease;

/// Passes everything on to `account`'s endpoint; a request that contains `mark` sends the process
/// its signal first. The address to use instead.
fn relay(account: &Account, mark: &'static [u8], process: Arc<Mutex<Option<Pid>>>) -> String {
    before(account, mark, move || {
        if let Some(pid) = process.lock().unwrap().take() {
            kill(pid, Signal::SIGINT).unwrap();
        }
    })
}

/// As [`relay`]; does this before each request that contains `mark` instead.
fn before(
    account: &Account,
    mark: &'static [u8],
    act: impl Fn() + Clone + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let upstream = account.endpoint.trim_start_matches("http://").to_owned();
    thread::spawn(move || {
        for client in listener.incoming() {
            let server = TcpStream::connect(&upstream).unwrap();
            let client = client.unwrap();
            let answers = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || pass(answers.0, answers.1, |_| ()));
            let act = act.clone();
            thread::spawn(move || {
                pass(client, server, |sent| {
                    if sent.windows(mark.len()).any(|window| window == mark) {
                        act();
                    }
                });
            });
        }
    });
    address
}

/// Copies to the end of the stream, showing each piece before it goes on. A request's head and body
/// come in few pieces; the mark is short enough to stand in one.
fn pass(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&[u8])) {
    let mut buffer = [0; 8_192];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        look(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // The other side may have gone first.
    let _closed = to.shutdown(Shutdown::Write);
}

/// Runs `setup instances` and interrupts it when it asks for its VPC.
fn interrupted(deployment: &Deployment) -> Run {
    let process = Arc::new(Mutex::new(None));
    let endpoint = relay(&deployment.account, b"Action=CreateVpc&", Arc::clone(&process));
    let child: Child = {
        // Held until the pid is known: the request waits for it.
        let mut process = process.lock().unwrap();
        let child = deployment
            .command(&["setup", "instances", "--json", "--verbose"])
            .env("AWS_ENDPOINT_URL", endpoint)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        *process = Some(Pid::from_raw(child.id().try_into().unwrap()));
        child
    };
    let output = child.wait_with_output().unwrap();
    assert!(process.lock().unwrap().is_none(), "no VPC was asked for");
    Run::from(output)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_run_ends_what_it_began_and_the_next_goes_on() {
    let account = Emulator::shared().account().await;
    let deployment = Deployment::new(account.clone(), "jitsi");
    deployment.succeed(&["setup", "iam"]);
    let before = inventory::take(&account.sdk()).await;

    let run = interrupted(&deployment);
    assert_eq!(run.code, 130, "{}", run.stderr);
    run.assert_published();
    assert!(run.stdout.contains("stopped on request; what exists is kept"), "{}", run.stdout);
    assert!(run.stdout.contains("continue with `jitsi-aws setup instances`"), "{}", run.stdout);
    let made = |operation: &str| run.calls().iter().any(|call| call.operation == operation);
    assert!(made("CreateVpc"), "the call that was under way was not cut off");
    assert!(!made("CreateSubnet"), "something new was begun");
    let stages = deployment.succeed(&["setup"]).document();
    assert_eq!(stages["result"]["at_work"], Value::Null, "the lease was not given back");

    deployment.succeed(&["setup", "instances"]);
    deployment.succeed(&["setup", "delete", "--keep-iam"]);
    inventory::assert_same(&inventory::take(&account.sdk()).await, &before, "nothing is left");
}

/// The record that ACM wants to see is the one thing somebody has to copy: it is told whole, and again by
/// the error, on a line of its own.
#[tokio::test]
async fn a_wait_for_the_certificate_tells_the_record_also_when_it_is_interrupted() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    jitsi.configure(|text| {
        let (before, rest) = text.split_once("mode = \"import\"").unwrap();
        let (_, after) = rest.split_once("[agent]").unwrap();
        format!("{before}mode = \"request\"\n[agent]{after}")
    });
    jitsi.succeed(&["setup", "iam"]);
    jitsi.succeed(&["setup", "instances"]);
    for json in [true, false] {
        let arguments: &[&str] = if json { &["setup", "lb", "--json"] } else { &["setup", "lb"] };
        let mut child =
            jitsi.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        let (mut stderr, mut pressed) = (String::new(), false);
        for line in BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap) {
            if line.contains("looks for its DNS record") && !pressed {
                // As somebody at a terminal does it, and as a CI server.
                kill(pid, if json { Signal::SIGTERM } else { Signal::SIGINT }).unwrap();
                pressed = true;
            }
            stderr.push_str(&line);
            stderr.push('\n');
        }
        let run = Run { stderr, ..Run::from(child.wait_with_output().unwrap()) };
        assert_eq!(run.code, 130, "{run:?}");
        if json {
            run.assert_published();
            let document = run.document();
            let record = document["result"]["details"][0].as_str().unwrap();
            assert!(record.contains(".jitsi.example.org. CNAME _"), "{record}");
            assert!(run.stderr.contains(&format!("\\n{record}\"")), "{}", run.stderr);
        } else {
            let lines = run.stderr.lines().filter(|line| line.contains(" CNAME _"));
            let lines: Vec<Vec<&str>> =
                lines.map(|line| line.split_whitespace().collect()).collect();
            // Once while it waits, once at the end.
            assert!(
                lines.len() == 2 && lines.iter().all(|words| words.len() == 3),
                "{}",
                run.stderr
            );
        }
    }
}

/// The bucket of the lease is made before anything else: whoever stops a run that waits in it is not told that
/// nothing was changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interruption_before_the_first_stage_tells_of_the_bucket() {
    let account = Emulator::shared().account().await;
    let jitsi = Arc::new(Deployment::new(account.clone(), "jitsi"));
    // Somebody else begins as soon as the bucket is there.
    let (handle, other) = (Handle::current(), Arc::clone(&jitsi));
    let begun = Arc::new(Once::new());
    let endpoint = before(&account, b"-lease/lease", move || {
        begun.call_once(|| handle.block_on(write_lease(&other, "carol", 0)));
    });
    let mut child = jitsi
        .command(&["setup", "all", "--json", "--verbose"])
        .env("AWS_ENDPOINT_URL", endpoint)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("at most whether this goes on") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "{:?}", child.wait_with_output());
    }
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    stderr.read_to_string(&mut line).unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.code, 130, "{run:?}");
    run.assert_published();
    let bucket = format!("jitsi-{}-eu-central-1-lease", account.id);
    let what = run.document()["result"]["what"].to_string();
    assert!(what.contains(&bucket) && what.contains("nothing else was changed"), "{what}");
    assert!(run.stdout.contains("jitsi-aws setup delete"), "{}", run.stdout);
}
