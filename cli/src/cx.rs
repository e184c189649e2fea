//! What every resource is given: the clients, the configuration, the names, the ids of what it
//! needs, and a way to say how it is getting on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Result, anyhow};
use tokio::sync::watch;

use crate::{
    aws::Aws,
    config::Config,
    engine::{Event, Key, Listener},
    error::{Hinted, Interrupted},
    invocation::{aws_cli, command},
    names::Names,
    recent::Recent,
    shared::lock,
    wait,
};

/// One run's context, shared by all resources.
pub struct Cx {
    /// The clients.
    pub aws: Aws,
    /// The validated configuration.
    pub config: Arc<Config>,
    /// Names and ARNs.
    pub names: Names,
    /// Whether a deletion waits for people in meetings, as a replacement does.
    pub drain: bool,
    /// The access key of another operator that is to be replaced by one of this one.
    pub take_over: Option<String>,
    /// What AWS may not know everywhere yet.
    pub recent: Recent,
    /// The profile these credentials are of, for commands of the AWS CLI; `None` for those of the
    /// environment.
    pub profile: Option<String>,
    ids: Mutex<BTreeMap<Key, String>>,
    noted: Mutex<BTreeSet<String>>,
    listener: Listener,
    stop: watch::Receiver<bool>,
}

impl Cx {
    /// `stop` turns true when the user wants nothing new to be started.
    pub fn new(
        aws: Aws,
        config: Arc<Config>,
        names: Names,
        listener: Listener,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            aws,
            config,
            names,
            drain: false,
            take_over: None,
            recent: Recent::default(),
            profile: None,
            ids: Mutex::default(),
            noted: Mutex::default(),
            listener,
            stop,
        }
    }

    /// The id of a resource found or made in this run.
    pub fn id(&self, key: &Key) -> Option<String> {
        lock(&self.ids).get(key).cloned()
    }

    /// As [`Cx::id`]; a missing one is an error that names the stage to run.
    pub fn need(&self, key: &Key) -> Result<String> {
        self.id(key).ok_or_else(|| missing(key).into())
    }

    /// Remembers an id for those who need it.
    pub fn put(&self, key: &Key, id: String) {
        lock(&self.ids).insert(key.clone(), id);
    }

    /// Notes that AWS has made `key`, for a create that has more to do to it: should that fail, the
    /// engine goes on with what was made instead of making another.
    pub fn made(&self, key: &Key) {
        self.recent.note(key);
    }

    /// Forgets the id of what is not there.
    pub fn forget(&self, key: &Key) {
        lock(&self.ids).remove(key);
    }

    /// Tells the user something.
    pub fn tell(&self, event: Event) {
        (self.listener)(event);
    }

    /// Says what `key` is waiting for, in AWS's own words.
    pub fn waiting(&self, key: &Key, what: &str) {
        self.tell(Event::Waiting { key: key.clone(), what: what.to_owned() });
    }

    /// Something the user should know once all is done; the same words are told once.
    pub fn note(&self, key: &Key, text: impl Into<String>) {
        let text = text.into();
        if lock(&self.noted).insert(text.clone()) {
            self.tell(Event::Note { key: key.clone(), text });
        }
    }

    /// The AWS CLI's command `aws WORDS` as it must be typed to be about this deployment, with the rights
    /// of this run.
    pub fn aws_cli(&self, words: &str) -> String {
        aws_cli(words, self.names.region(), self.profile.as_deref())
    }

    /// Whether the user asked to stop.
    pub fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Pauses; ends at once with [`Interrupted`] when the user asks to stop, and with the reason when it is
    /// no longer our turn: what is waited for is then somebody else's affair.
    pub async fn pause(&self, length: Duration) -> Result<()> {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = wait::pause(length) => {}
            Ok(_) = stop.wait_for(|stop| *stop) => return Err(Interrupted.into()),
        }
        self.aws.turn.refusal().map_or(Ok(()), |why| Err(anyhow!(why)))
    }
}

/// The error for a resource an earlier stage should have made.
pub fn missing(key: &Key) -> Hinted {
    Hinted::user(
        format!("there is no {} yet", key.title()),
        format!("run `{}` first", command(&format!("setup {}", key.stage().word()))),
    )
}
