//! One writer at a time: a lease in AWS with its owner and time. It is renewed while its owner works,
//! given back at the end, and may be taken over when nobody has renewed it for [`LIFE`], by AWS's clock.
//! Why it is where it is, and what it does not prove: ADR 18.

mod record;
mod store;

use std::{
    cell::Cell,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Result;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

pub use record::{Record, who};
pub use store::{Held, KEY};

use self::store::{Seen, Store};
use crate::{
    aws::{Aws, AwsError, Fate, Moment, Turn},
    cx::Cx,
    engine::{Key, patiently},
    error::Hinted,
    invocation::{as_admin, command},
    names::Names,
    policy::Permission,
    shared::lock,
    wait,
};

/// How long a lease holds after it was last renewed.
pub const LIFE: Duration = Duration::from_secs(90);
// Two renewals may fail before it ends.
const RENEWED_EVERY: Duration = Duration::from_secs(30);
// The owner stops so much earlier than others may begin: for what is under way, and S3's clocks.
const MARGIN: Duration = Duration::from_secs(15);
// How long the owner counts upon it.
const VALID: Duration = LIFE.saturating_sub(MARGIN);
// After a renewal that failed.
const AGAIN: Duration = Duration::from_secs(3);
// While S3 does not know its new bucket everywhere.
const NEW: Duration = Duration::from_millis(500);
// Between two looks at somebody else's.
const LOOK: Duration = Duration::from_secs(2);
// Lost answers in a row.
const ATTEMPTS: u32 = 4;

/// What keeping a lease takes. Conditional writes and deletes read the object's `ETag`, and without the right
/// to list, S3 answers 403 where there is no such object (S3 API, `PutObject`, `DeleteObject`, `GetObject`).
pub fn permissions(names: &Names) -> Vec<Permission> {
    let bucket = names.lease_bucket_arn();
    let object = format!("{bucket}/{}", store::KEY);
    vec![
        Permission::read(&["s3:ListBucket"]).on([bucket]),
        Permission::read(&["s3:GetObject"]).on([object.clone()]),
        Permission::write(&["s3:PutObject", "s3:DeleteObject"]).on([object]),
    ]
}

/// Who is at work, if anybody; whoever may not read the lease is told nothing.
pub async fn at_work(cx: &Cx) -> Result<Option<Held>> {
    // It is only told, never acted upon: not worth the minutes that a new right can take.
    const LIMIT: Duration = Duration::from_secs(10);
    let store = Store::new(&cx.aws, &cx.names);
    match timeout(LIMIT, patiently(cx, &Key::LeaseBucket, || store.read())).await {
        Ok(Ok(Seen::Held(held))) if !held.is_over() => Ok(Some(held)),
        Ok(Ok(_)) | Err(_) => Ok(None),
        Ok(Err(error)) if error.downcast_ref::<AwsError>().is_some_and(AwsError::is_denied) => {
            Ok(None)
        }
        Ok(Err(error)) => Err(error),
    }
}

/// What became of somebody else's lease.
#[derive(Clone, Debug)]
pub enum Ended {
    /// There was none.
    None,
    /// It was over already, and is gone.
    Gone(Held),
    /// It will not be renewed any more; who has it notices at the next renewal.
    Ended(Held),
}

/// Ends whoever's lease it is.
pub async fn end(cx: &Cx, arn: &str) -> Result<Ended> {
    let store = Store::new(&cx.aws, &cx.names);
    loop {
        let Seen::Held(held) = patiently(cx, &Key::LeaseBucket, || store.read()).await? else {
            return Ok(Ended::None);
        };
        if held.is_over() {
            if store.remove(&held.etag).await? {
                return Ok(Ended::Gone(held));
            }
            continue;
        }
        // Left there until the owner has noticed, or cannot but have: nobody else begins before.
        let record = held.record.clone().unwrap_or_else(|| Record::new(arn, "setup unlock"));
        let record = Record { ended_by: Some(format!("{} ({arn})", who())), ..record.renewed() };
        if store.replace(&record, &held.etag).await?.is_some() {
            return Ok(Ended::Ended(held));
        }
    }
}

/// What is told while a lease is taken.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// What is being waited for; again and again.
    Waiting(&'a str),
    /// What was done; once.
    Done(&'a str),
}

/// The lease of this run, renewed in the background until it is given back.
#[derive(Debug)]
pub struct Lease {
    shared: Arc<Shared>,
    after: Option<Held>,
    renewing: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    // By whose credentials it is kept: the newest first, the others in case those are not known yet.
    stores: Mutex<Vec<Store>>,
    turn: Turn,
    gates: Mutex<Vec<Turn>>,
    // As last written, with its `ETag`.
    mine: Mutex<(Record, String)>,
}

impl Shared {
    fn every_turn(&self, act: impl Fn(&Turn)) {
        act(&self.turn);
        lock(&self.gates).iter().for_each(act);
    }
}

impl Lease {
    /// Takes it as soon as it is free or over. Somebody else's is watched until it is plain whether they
    /// still work, which takes no longer than [`LIFE`]: then they are named, and this fails. Whoever takes it
    /// meanwhile is plainly at work.
    /// `told` hears what is being waited for; `bucket_is_there`: whether a bucket that S3 does not know is
    /// only new.
    pub async fn take(
        cx: &Cx,
        arn: &str,
        command: &str,
        bucket_is_there: bool,
        told: impl Fn(Told<'_>),
    ) -> Result<Self> {
        let store = Store::new(&cx.aws, &cx.names);
        let mut record = Record::new(arn, command);
        let mut watched: Option<Held> = None;
        let mut after = None;
        let mut failures = 0;
        let start = Instant::now();
        // When the last writing began: it holds from then on at the earliest.
        let began = Cell::new(Moment::now());
        let now = || began.set(Moment::now());
        loop {
            let seen = patiently(cx, &Key::LeaseBucket, || store.read()).await?;
            let written = match seen {
                Seen::Nowhere if bucket_is_there && start.elapsed() < Duration::from_mins(2) => {
                    cx.pause(NEW).await?;
                    continue;
                }
                Seen::Nowhere => return Err(no_bucket(&cx.names)),
                Seen::Held(held) if held.is_of(&record) => {
                    // Written by a call whose answer was lost.
                    Ok(Some(held.etag))
                }
                Seen::Free(time) => {
                    after.clone_from(&watched);
                    record.since = time;
                    let create = || {
                        now();
                        store.create(&record)
                    };
                    patiently(cx, &Key::LeaseBucket, create).await
                }
                Seen::Held(held) if held.is_over() => {
                    let line = format!("the lease of {} is over: taking it over", held.told());
                    told(Told::Done(&line));
                    record.since.clone_from(&held.read_at);
                    let replace = || {
                        now();
                        store.replace(&record, &held.etag)
                    };
                    patiently(cx, &Key::LeaseBucket, replace).await
                }
                Seen::Held(held) => {
                    if watched.as_ref().is_some_and(|before| goes_on(before, &held)) {
                        return Err(taken(&held));
                    }
                    told(Told::Waiting(&waiting(&held)));
                    watched = Some(held);
                    cx.pause(LOOK).await?;
                    continue;
                }
            };
            match written {
                Ok(Some(etag)) => {
                    return Ok(Self::keep(store, record, etag, began.get(), after));
                }
                Ok(None) => {} // somebody was quicker
                Err(error) if failures + 1 < ATTEMPTS && is_unknown(&error) => failures += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn keep(
        store: Store,
        record: Record,
        etag: String,
        began: Moment,
        after: Option<Held>,
    ) -> Self {
        let turn = Turn::default();
        turn.ours(began, VALID);
        let shared = Arc::new(Shared {
            stores: Mutex::new(vec![store]),
            turn,
            gates: Mutex::default(),
            mine: Mutex::new((record, etag)),
        });
        let renewing = tokio::spawn(renew(Arc::clone(&shared)));
        Self { shared, after, renewing }
    }

    /// Whose run was waited for, and came to its end meanwhile.
    pub fn after(&self) -> Option<&Held> {
        self.after.as_ref()
    }

    /// Lets these clients write only as long as it holds.
    pub fn gate(&self, aws: &Aws) {
        let mut gates = lock(&self.shared.gates);
        aws.turn.follow(&self.shared.turn);
        gates.push(aws.turn.clone());
    }

    /// Keeps it with these credentials too.
    pub fn keep_with(&self, aws: &Aws, names: &Names) {
        lock(&self.shared.stores).insert(0, Store::new(aws, names));
    }

    /// Why it no longer holds, if it does not.
    pub fn lost(&self) -> Option<String> {
        self.shared.turn.refusal()
    }

    /// Gives it back. What cannot be given back ends by itself.
    pub async fn give_back(self) -> Result<()> {
        self.renewing.abort();
        // Cut off before it could write down what it wrote, perhaps: then the ETag is another.
        drop(self.renewing.await);
        let result = give_back(&self.shared).await;
        self.shared.every_turn(Turn::open);
        result
    }
}

async fn give_back(shared: &Shared) -> Result<()> {
    let (record, mut etag) = lock(&shared.mine).clone();
    let stores = lock(&shared.stores).clone();
    let mut failure = None;
    for store in &stores {
        match remove(store, &record, &mut etag).await {
            Ok(()) => return Ok(()),
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn remove(store: &Store, record: &Record, etag: &mut String) -> Result<()> {
    for _ in 0..ATTEMPTS {
        if store.remove(etag).await? {
            return Ok(());
        }
        match store.read().await? {
            Seen::Held(held) if held.is_of(record) => {
                *etag = held.etag;
            }
            // Gone with a call whose answer was lost, or somebody else's.
            _ => return Ok(()),
        }
    }
    anyhow::bail!("the lease could not be given back: S3 says that others are changing it")
}

/// Renews it until it is lost.
async fn renew(shared: Arc<Shared>) {
    loop {
        wait::pause(RENEWED_EVERY).await;
        let failure = loop {
            let began = Moment::now();
            match renew_once(&shared).await {
                Ok(None) => {
                    shared.every_turn(|turn| turn.ours(began, VALID));
                    break None;
                }
                Ok(Some(lost)) => break Some(lost),
                Err(error) => {
                    if shared.turn.refusal().is_some() {
                        break Some(format!("the lease could not be renewed: {error:#}"));
                    }
                    wait::pause(AGAIN).await;
                }
            }
        };
        if let Some(why) = failure {
            shared.every_turn(|turn| turn.over(&why));
            return;
        }
    }
}

/// Renews it with whichever credentials work; says why, when it is no longer ours.
async fn renew_once(shared: &Shared) -> Result<Option<String>> {
    let (record, etag) = lock(&shared.mine).clone();
    let (record, stores) = (record.renewed(), lock(&shared.stores).clone());
    let mut failure = None;
    for store in &stores {
        match renew_with(store, &record, &etag).await {
            Ok(Renewed::As(etag)) => {
                *lock(&shared.mine) = (record, etag);
                return Ok(None);
            }
            Ok(Renewed::Lost(why)) => return Ok(Some(why)),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| anyhow::anyhow!("there are no credentials")))
}

enum Renewed {
    As(String),
    Lost(String),
}

async fn renew_with(store: &Store, record: &Record, etag: &str) -> Result<Renewed> {
    let mut etag = etag.to_owned();
    for _ in 0..ATTEMPTS {
        if let Some(etag) = store.replace(record, &etag).await? {
            return Ok(Renewed::As(etag));
        }
        // Written by a call whose answer was lost, or not ours any more.
        match store.read().await? {
            Seen::Held(held) if held.is_of(record) && held.ended_by().is_none() => {
                etag = held.etag;
            }
            Seen::Held(held) => return Ok(Renewed::Lost(lost_to(&held))),
            Seen::Free(_) | Seen::Nowhere => {
                return Ok(Renewed::Lost("somebody deleted the lease".to_owned()));
            }
        }
    }
    anyhow::bail!("S3 says that others are changing it all the time")
}

fn lost_to(held: &Held) -> String {
    match held.ended_by() {
        Some(who) => format!("{who} ended the lease by hand"),
        None => format!("the lease was taken over by {}", held.told()),
    }
}

/// Whether it was renewed, or taken by another run, since: then somebody is at work.
fn goes_on(before: &Held, now: &Held) -> bool {
    before.etag != now.etag && now.ended_by().is_none()
}

fn is_unknown(error: &anyhow::Error) -> bool {
    error.downcast_ref::<AwsError>().is_some_and(|error| error.fate == Fate::Unknown)
}

/// What is done and for how long comes first: a narrow terminal cuts the end.
fn waiting(held: &Held) -> String {
    let left = held.life().saturating_sub(held.age).as_secs();
    match held.ended_by() {
        Some(who) => format!("the lease is free in {left} s: {who} ended that of {}", held.told()),
        None => {
            format!("looking for {left} s at most whether this goes on: {} is at work", held.told())
        }
    }
}

fn taken(held: &Held) -> anyhow::Error {
    Hinted::user(
        format!("{} is at work on this deployment", held.told()),
        format!(
            "wait until that has ended and run the same command again; if it must be stopped: `{}`",
            command("setup unlock")
        ),
    )
    .into()
}

fn no_bucket(names: &Names) -> anyhow::Error {
    Hinted::user(
        format!("there is no bucket `{}` yet, which tells who is at work", names.lease_bucket()),
        format!("run `{}` first", as_admin("setup iam")),
    )
    .into()
}
