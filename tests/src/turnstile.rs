//! A turnstile before the emulator: each operator has an entrance of their own, and one request at a time
//! passes, in an order drawn from a seed. It may end an operator's process at a request, and show AWS's clock
//! to one of them as it will be later. Nothing sleeps: who has not come within milliseconds is not waited for.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

/// How long another request may still come and take part in the draw.
const GATHER: Duration = Duration::from_millis(6);

/// The turnstile; it works until the test ends.
#[derive(Clone)]
pub struct Turnstile(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    upstream: String,
}

#[derive(Default)]
struct State {
    seed: u64,
    next: u64,
    /// By entrance and request, so that the draw does not depend on who came first.
    waiting: BTreeSet<(usize, String, u64)>,
    passing: Option<(usize, String, u64)>,
    passed: Vec<(usize, String)>,
    later: BTreeMap<usize, Duration>,
    stop: Option<Stop>,
}

/// Where a process ends.
struct Stop {
    entrance: usize,
    at: Point,
    end: Box<dyn FnOnce() + Send>,
}

/// A request at which a process ends.
#[derive(Clone, Debug)]
pub enum Point {
    /// The one of this number, from 0; it is never sent.
    Number(usize),
    /// The first that begins and ends so, `PUT` and `/lease`; it is never sent.
    Before(&'static str, &'static str),
    /// As [`Point::Before`], but it is sent, and only its answer is lost.
    After(&'static str, &'static str),
}

impl Point {
    fn is(&self, number: usize, what: &str) -> bool {
        match self {
            Self::Number(wanted) => *wanted == number,
            Self::Before(begin, end) | Self::After(begin, end) => {
                let path = what.split('?').next().unwrap_or_default();
                what.starts_with(begin) && path.ends_with(end)
            }
        }
    }
}

impl Turnstile {
    /// Before the server at `endpoint`.
    pub fn before(endpoint: &str, seed: u64) -> Self {
        let upstream = endpoint.trim_start_matches("http://").to_owned();
        let state = Mutex::new(State { seed, ..State::default() });
        let shared = Arc::new(Shared { state, changed: Condvar::new(), upstream });
        let draws = Arc::clone(&shared);
        thread::spawn(move || draws.draw());
        Self(shared)
    }

    /// An entrance; its endpoint.
    ///
    /// # Panics
    /// When there is no port left.
    pub fn entrance(&self, number: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::clone(&self.0);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A client that went away has ended, or was ended.
                thread::spawn(move || shared.serve(number, client));
            }
        });
        format!("http://{address}")
    }

    /// Answers to this entrance are dated so much later from now on.
    pub fn later(&self, entrance: usize, by: Duration) {
        self.0.state().later.insert(entrance, by);
    }

    /// Calls `end` at that request of this entrance.
    pub fn end_at(&self, entrance: usize, at: Point, end: impl FnOnce() + Send + 'static) {
        self.0.state().stop = Some(Stop { entrance, at, end: Box::new(end) });
    }

    /// Waits until what was sent has been answered.
    pub fn settle(&self) {
        let mut state = self.0.state();
        while !state.waiting.is_empty() || state.passing.is_some() {
            state = self.0.wait(state);
        }
    }

    /// Entrances and requests, in the order they passed.
    pub fn passed(&self) -> Vec<(usize, String)> {
        self.0.state().passed.clone()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one request after the other pass.
    fn draw(&self) {
        let mut state = self.state();
        loop {
            while state.waiting.is_empty() || state.passing.is_some() {
                state = self.wait(state);
            }
            loop {
                let known = state.waiting.len();
                let gathered = self.changed.wait_timeout(state, GATHER);
                let (now, over) = gathered.unwrap_or_else(PoisonError::into_inner);
                state = now;
                if over.timed_out() || state.waiting.len() == known {
                    break;
                }
            }
            let entrances: Vec<usize> = {
                let mut all: Vec<usize> =
                    state.waiting.iter().map(|(entrance, ..)| *entrance).collect();
                all.dedup();
                all
            };
            if entrances.is_empty() {
                continue;
            }
            // First who, then what: somebody with many requests is not let in more often.
            let entrance = entrances[state.random(entrances.len())];
            let of_it: Vec<_> =
                state.waiting.iter().filter(|(e, ..)| *e == entrance).cloned().collect();
            let chosen = of_it[state.random(of_it.len())].clone();
            state.waiting.remove(&chosen);
            state.passing = Some(chosen);
            self.changed.notify_all();
        }
    }

    fn serve(&self, entrance: usize, client: TcpStream) -> Option<()> {
        let mut client = BufReader::new(client);
        let (head, body) = request(&mut client)?;
        let what = name(&head, &body);
        let mine = {
            let mut state = self.state();
            state.next += 1;
            let mine = (entrance, what.clone(), state.next);
            state.waiting.insert(mine.clone());
            self.changed.notify_all();
            while state.passing.as_ref() != Some(&mine) {
                state = self.wait(state);
            }
            mine
        };
        let answer = self.pass(entrance, &what, &head, &body);
        {
            let mut state = self.state();
            if state.passing.as_ref() == Some(&mine) {
                state.passing = None;
            }
            self.changed.notify_all();
        }
        client.get_mut().write_all(&answer?).ok()
    }

    /// Sends it on, and reads the answer; `None` when the client has been ended.
    fn pass(&self, entrance: usize, what: &str, head: &str, body: &[u8]) -> Option<Vec<u8>> {
        let (later, stop) = {
            let mut state = self.state();
            let count = state.passed.iter().filter(|(who, _)| *who == entrance).count();
            let due = |stop: &Stop| stop.entrance == entrance && stop.at.is(count, what);
            let stop = if state.stop.as_ref().is_some_and(due) { state.stop.take() } else { None };
            if let Some(Stop { at: Point::Number(_) | Point::Before(..), end, .. }) = stop {
                drop(state);
                end();
                return None;
            }
            state.passed.push((entrance, what.to_owned()));
            (state.later.get(&entrance).copied(), stop)
        };
        let mut server = TcpStream::connect(&self.upstream).ok()?;
        let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        server.write_all(head.as_bytes()).ok()?;
        server.write_all(body).ok()?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).ok()?;
        if let Some(stop) = stop {
            (stop.end)();
            return None;
        }
        Some(match later {
            Some(by) => dated(&answer, by),
            None => answer,
        })
    }
}

impl State {
    /// Below `bound` (`SplitMix64`).
    fn random(&mut self, bound: usize) -> usize {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 33).unwrap_or_default() % bound
    }
}

/// One request's head, without its `Connection`, and its body.
fn request(client: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        client.read_line(&mut line).ok().filter(|length| *length > 0)?;
        let lower = line.to_ascii_lowercase();
        if let Some(given) = lower.strip_prefix("content-length:") {
            length = given.trim().parse().ok()?;
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
        if line == "\r\n" {
            break;
        }
    }
    if head.to_ascii_lowercase().contains("\r\nexpect: 100-continue") {
        client.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// `CreateVpc` of the query protocol, `PutRule` of a JSON target, else method and path.
fn name(head: &str, body: &[u8]) -> String {
    let target = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-amz-target").then(|| value.trim().to_owned())
    });
    if let Some(target) = target {
        return target.rsplit('.').next().unwrap_or(&target).to_owned();
    }
    let body = String::from_utf8_lossy(&body[..body.len().min(200)]);
    if let Some(action) = body.split('&').find_map(|pair| pair.strip_prefix("Action=")) {
        return action.to_owned();
    }
    head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned()
}

/// The same answer, of a later time.
fn dated(answer: &[u8], by: Duration) -> Vec<u8> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(answer.len());
    let (head, rest) = answer.split_at(end);
    let date = http_date(SystemTime::now() + by);
    let lines: Vec<String> = String::from_utf8_lossy(head)
        .split("\r\n")
        .map(|line| {
            if line.to_ascii_lowercase().starts_with("date:") {
                format!("Date: {date}")
            } else {
                line.to_owned()
            }
        })
        .collect();
    [lines.join("\r\n").as_bytes(), rest].concat()
}

fn http_date(at: SystemTime) -> String {
    use aws_smithy_types::{DateTime, date_time::Format};
    DateTime::from(at).fmt(Format::HttpDate).expect("a date")
}
