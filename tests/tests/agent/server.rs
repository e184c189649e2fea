//! A loopback HTTP server that answers by a function and remembers what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// One request: `METHOD path`, headers, body, in this order, separated by lines.
type Answer = dyn Fn(&str) -> (u16, String) + Send + Sync;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<(Mutex<Vec<String>>, Condvar)>,
}

/// A server's clock, so many seconds ahead of the machine's.
#[derive(Clone, Default)]
pub(crate) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(crate) fn set_ahead(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    fn now(&self) -> DateTime {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        DateTime::from_secs(now.as_secs().cast_signed() + self.0.load(Ordering::SeqCst))
    }

    /// Whether AWS would refuse the request for the time it was signed at (5 minutes either way).
    pub(crate) fn refuses(&self, request: &str) -> bool {
        let signed = request.lines().find_map(|line| line.strip_prefix("x-amz-date: "));
        signed.is_none_or(|signed| {
            // `20261121T014500Z`
            let time = format!(
                "{}-{}-{}:{}:{}",
                &signed[..4],
                &signed[4..6],
                &signed[6..11],
                &signed[11..13],
                &signed[13..]
            );
            let signed = DateTime::from_str(&time, Format::DateTime).expect("a time");
            (signed.secs() - self.now().secs()).abs() > 300
        })
    }
}

impl Server {
    pub(crate) fn new(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::with_clock(Clock::default(), answer)
    }

    /// The same, with a clock of its own.
    pub(crate) fn with_clock(
        clock: Clock,
        answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let seen = Arc::<(Mutex<Vec<String>>, Condvar)>::default();
        let answer: Arc<Answer> = Arc::new(answer);
        let log = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                let clock = clock.clone();
                thread::spawn(move || while exchange(&stream, &*answer, &log, &clock).is_some() {});
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything asked so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.seen.0.lock().unwrap().clone()
    }

    /// Waits until some request, past or to come, is wanted.
    pub(crate) fn wait_for(&self, limit: Duration, wanted: impl Fn(&str) -> bool) {
        self.wait_from(0, limit, wanted);
    }

    /// The same, for requests still to come.
    pub(crate) fn wait_for_another(&self, limit: Duration, wanted: impl Fn(&str) -> bool) {
        let from = self.seen.0.lock().unwrap().len();
        self.wait_from(from, limit, wanted);
    }

    fn wait_from(&self, from: usize, limit: Duration, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + limit;
        let mut seen = self.seen.0.lock().unwrap();
        while !seen[from..].iter().any(|call| wanted(call)) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not asked in time; asked were {:#?}", &seen[from..]);
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }
}

/// `None` when the client has gone.
fn exchange(
    mut stream: &TcpStream,
    answer: &Answer,
    log: &(Mutex<Vec<String>>, Condvar),
    clock: &Clock,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    loop {
        let start = head.len();
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if head[start..].trim().is_empty() {
            break;
        }
    }
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let request = format!("{head}{}", String::from_utf8_lossy(&body));
    let (status, text) = answer(&request);
    log.0.lock().unwrap().push(request);
    log.1.notify_all();
    let length = text.len();
    let date = clock.now().fmt(Format::HttpDate).ok()?;
    // The header belongs to the metadata service's tokens; it disturbs nobody else.
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ndate: {date}\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\
         content-length: {length}\r\n\r\n{text}"
    )
    .ok()
}
