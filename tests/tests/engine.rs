//! The engine with resources that exist only in memory: whatever fails wherever, the next run goes
//! on, nothing is made twice, nothing foreign is touched, and deleting leaves nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use anyhow::{Result, bail};
use async_trait::async_trait;
use jitsi_aws::{
    aws::{AwsError, Calls, Credentials, Fate, connect},
    config::{self, Config, Files, Overrides},
    cx::Cx,
    engine::{self, Change, Entry, Event, Found, Key, Outcome, Resource, Stage, Summary},
    error::Interrupted,
    names::Names,
    policy::Permission,
    tags::{Foreign, Owner},
};
use tokio::sync::watch;

/// How a resource misbehaves, once.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The call is refused.
    Refused,
    /// The call took effect, but its answer is lost.
    AnswerLost,
    /// The call did not take effect, and nobody answers.
    Unanswered,
    /// AWS asks to slow down.
    Throttled,
    /// The resource never becomes ready.
    NeverReady,
}

const FAULTS: [Fault; 5] =
    [Fault::Refused, Fault::AnswerLost, Fault::Unanswered, Fault::Throttled, Fault::NeverReady];

/// What exists, what misbehaves, and what was done in which order.
#[derive(Default)]
struct World {
    exists: BTreeMap<Key, Vec<Thing>>,
    fault: Option<(Key, Fault)>,
    done: Vec<String>,
    next: u32,
}

#[derive(Clone)]
struct Thing {
    id: String,
    owner: Owner,
    size: u32,
    stale: bool,
}

struct Fake {
    key: Key,
    size: u32,
    world: Arc<Mutex<World>>,
}

impl World {
    fn add(&mut self, key: &Key, owner: Owner, size: u32, stale: bool) -> String {
        self.next += 1;
        let id = format!("{key}-{}", self.next);
        let thing = Thing { id: id.clone(), owner, size, stale };
        self.exists.entry(key.clone()).or_default().push(thing);
        id
    }

    fn take_fault(&mut self, key: &Key, faults: &[Fault]) -> Option<Fault> {
        let (at, fault) = self.fault.clone()?;
        (at == *key && faults.contains(&fault)).then(|| {
            self.fault = None;
            fault
        })
    }

    fn count(&self) -> usize {
        self.exists.values().map(Vec::len).sum()
    }
}

fn failure(fate: Fate) -> anyhow::Error {
    AwsError {
        doing: "making it".into(),
        code: "No".into(),
        message: String::new(),
        request_id: None,
        fate,
    }
    .into()
}

#[async_trait]
impl Resource for Fake {
    fn name(&self, _: &Cx) -> String {
        "fake".into()
    }

    fn permissions(&self, _: &Names) -> Vec<Permission> {
        Vec::new()
    }

    async fn find(&self, _: &Cx) -> Result<Vec<Found>> {
        let world = self.world.lock().unwrap();
        let things = world.exists.get(&self.key).cloned().unwrap_or_default();
        Ok(things
            .into_iter()
            .map(|thing| {
                let mut found = Found::new(thing.id, thing.owner).stale(thing.stale);
                found.compare("size", thing.size, self.size);
                found
            })
            .collect())
    }

    async fn create(&self, _: &Cx) -> Result<String> {
        // Lets others run in between, as a call would.
        tokio::task::yield_now().await;
        let mut world = self.world.lock().unwrap();
        let faults = [Fault::Refused, Fault::AnswerLost, Fault::Unanswered, Fault::Throttled];
        match world.take_fault(&self.key, &faults) {
            Some(Fault::Refused) => return Err(failure(Fate::Refused)),
            Some(Fault::Throttled) => return Err(failure(Fate::Throttled)),
            Some(Fault::Unanswered) => return Err(failure(Fate::Unknown)),
            Some(Fault::AnswerLost) => {
                world.add(&self.key, Owner::Ours, self.size, false);
                return Err(failure(Fate::Unknown));
            }
            _ => {}
        }
        world.done.push(format!("create {}", self.key));
        Ok(world.add(&self.key, Owner::Ours, self.size, false))
    }

    async fn update(&self, _: &Cx, found: &Found) -> Result<()> {
        let mut world = self.world.lock().unwrap();
        world.done.push(format!("update {}", self.key));
        for thing in world.exists.entry(self.key.clone()).or_default() {
            if thing.id == found.id {
                assert_eq!(thing.owner, Owner::Ours, "touched somebody else's");
                thing.size = self.size;
            }
        }
        Ok(())
    }

    async fn delete(&self, _: &Cx, found: &Found) -> Result<()> {
        tokio::task::yield_now().await;
        let mut world = self.world.lock().unwrap();
        world.done.push(format!("delete {}", self.key));
        let things = world.exists.entry(self.key.clone()).or_default();
        assert!(things.iter().all(|t| t.id != found.id || t.owner == Owner::Ours), "not ours");
        things.retain(|thing| thing.id != found.id);
        Ok(())
    }

    async fn wait(&self, _: &Cx, _: &str) -> Result<()> {
        if self.world.lock().unwrap().take_fault(&self.key, &[Fault::NeverReady]).is_some() {
            bail!("gave up waiting");
        }
        Ok(())
    }
}

/// The shape of the real graph's difficult corner, over three stages.
const ROWS: [(Key, &[Key]); 7] = [
    (Key::InstanceProfile, &[]),
    (Key::Vpc, &[]),
    (Key::SubnetA, &[Key::Vpc]),
    (Key::SubnetB, &[Key::Vpc]),
    (Key::AutoScalingGroup, &[Key::SubnetA, Key::SubnetB, Key::InstanceProfile]),
    (Key::LoadBalancer, &[Key::SubnetA, Key::SubnetB]),
    (Key::HttpsListener, &[Key::LoadBalancer]),
];

const STAGES: [Stage; 3] = [Stage::Iam, Stage::Instances, Stage::Lb];

struct Lab {
    world: Arc<Mutex<World>>,
    catalog: Vec<Entry>,
    events: Arc<Mutex<Vec<Event>>>,
    stop: watch::Sender<bool>,
    cx: Cx,
}

impl Lab {
    async fn new() -> Self {
        Self::with_size(Arc::default(), 1).await
    }

    async fn with_size(world: Arc<Mutex<World>>, size: u32) -> Self {
        let catalog = ROWS
            .iter()
            .map(|(key, needs)| Entry {
                key: key.clone(),
                needs: needs.to_vec(),
                resource: Box::new(Fake { key: key.clone(), size, world: Arc::clone(&world) }),
            })
            .collect();
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let told = Arc::clone(&events);
        let (stop, stopped) = watch::channel(false);
        let aws =
            connect(&Credentials::Ambient, "eu-central-1", None, Calls::default()).await.unwrap();
        let cx = Cx::new(
            aws,
            Arc::new(config()),
            Names::new("jitsi", "eu-central-1", "123456789012"),
            Arc::new(move |event| told.lock().unwrap().push(event)),
            stopped,
        );
        Self { world, catalog, events, stop, cx }
    }

    async fn apply(&self) -> Result<Summary> {
        engine::apply(&self.catalog, &STAGES, &[], &self.cx).await
    }

    async fn delete(&self) -> Result<Summary> {
        let doomed = engine::inventory(&self.catalog, &STAGES, &self.cx).await?;
        engine::delete(&self.catalog, &doomed, &self.cx).await
    }

    fn done(&self) -> Vec<String> {
        std::mem::take(&mut self.world.lock().unwrap().done)
    }
}

fn config() -> Config {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "[deployment]\nname = \"jitsi\"\nregion = \"eu-central-1\"\n[site]\ndomain = \"meet.example.org\"\n\
         [certificate]\nmode = \"existing\"\narn = \"arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012\"\n";
    std::fs::write(file.path(), text).unwrap();
    config::load(file.path(), &Overrides::default(), Files::default()).unwrap().config
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_the_next_run_goes_on_and_nothing_is_made_twice() {
    for (key, _) in ROWS {
        for fault in FAULTS {
            let lab = Lab::new().await;
            lab.world.lock().unwrap().fault = Some((key.clone(), fault));
            let first = lab.apply().await;
            let survives =
                [Fault::AnswerLost, Fault::Unanswered, Fault::Throttled].contains(&fault);
            assert_eq!(first.is_ok(), survives, "{key} {fault:?}: {first:?}");
            lab.apply().await.unwrap_or_else(|error| panic!("{key} {fault:?}: {error:#}"));
            assert_eq!(lab.world.lock().unwrap().count(), ROWS.len(), "{key} {fault:?}");
            let third = lab.apply().await.unwrap();
            assert_eq!(third, Summary { unchanged: ROWS.len(), ..Summary::default() });
            lab.delete().await.unwrap();
            assert_eq!(lab.world.lock().unwrap().count(), 0, "{key} {fault:?}");
            assert_eq!(lab.delete().await.unwrap(), Summary::default());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_nothing_new_is_started() {
    let lab = Lab::new().await;
    lab.world.lock().unwrap().fault = Some((Key::Vpc, Fault::Refused));
    let error = lab.apply().await.unwrap_err();
    assert_eq!(format!("{error:#}"), "VPC `fake`: making it: No");
    assert_eq!(lab.done(), ["create InstanceProfile"], "what ran beside it was let finish");
}

#[tokio::test(start_paused = true)]
async fn deleting_follows_the_same_edges_reversed() {
    let lab = Lab::new().await;
    lab.apply().await.unwrap();
    lab.done();
    lab.delete().await.unwrap();
    let done = lab.done();
    let position = |key: &Key| done.iter().position(|d| *d == format!("delete {key}")).unwrap();
    for (key, needs) in &ROWS {
        for need in *needs {
            assert!(position(key) < position(need), "{key} must go before {need}: {done:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn drift_is_mended_and_planned() {
    let lab = Lab::new().await;
    lab.apply().await.unwrap();
    lab.done();
    let bigger = Lab::with_size(Arc::clone(&lab.world), 2).await;
    let planned = engine::plan(&bigger.catalog, &[Stage::Lb], &bigger.cx).await.unwrap();
    assert_eq!(planned.len(), 2);
    assert!(matches!(&planned[0].change, Change::Update(drift) if drift[0].wanted == "2"));
    assert_eq!(bigger.done(), [""; 0], "planning changes nothing");
    engine::apply(&bigger.catalog, &[Stage::Lb], &[], &bigger.cx).await.unwrap();
    assert_eq!(bigger.done(), ["update LoadBalancer", "update HttpsListener"]);
}

#[tokio::test(start_paused = true)]
async fn a_stage_needs_the_ones_before_it() {
    let lab = Lab::new().await;
    let error = engine::apply(&lab.catalog, &[Stage::Lb], &[], &lab.cx).await.unwrap_err();
    assert_eq!(format!("{error:#}"), "VPC `fake`: there is no VPC yet");
    assert_eq!(lab.world.lock().unwrap().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_others_is_never_touched() {
    let lab = Lab::new().await;
    let foreign = Owner::Foreign(Foreign::Of("other".into()));
    lab.world.lock().unwrap().add(&Key::LoadBalancer, foreign, 9, false);
    let error = lab.apply().await.unwrap_err();
    assert!(format!("{error:#}").contains("not ours"), "{error:#}");
    let planned = engine::plan(&lab.catalog, &STAGES, &lab.cx).await.unwrap();
    assert!(planned.iter().any(|line| matches!(line.change, Change::Conflict(_))));
    lab.delete().await.unwrap();
    assert_eq!(lab.world.lock().unwrap().count(), 1, "only the other's is left");
}

#[tokio::test(start_paused = true)]
async fn what_is_in_the_way_is_found_before_the_first_write() {
    let lab = Lab::new().await;
    let foreign = || Owner::Foreign(Foreign::Untagged);
    lab.world.lock().unwrap().add(&Key::HttpsListener, foreign(), 1, false);
    let error = lab.apply().await.unwrap_err();
    assert!(format!("{error:#}").contains("HTTPS listener `fake`: HttpsListener-1"), "{error:#}");
    assert_eq!(lab.done(), [""; 0], "though it comes last");

    lab.world.lock().unwrap().add(&Key::Vpc, foreign(), 1, false);
    let error = lab.apply().await.unwrap_err();
    assert!(format!("{error:#}").contains("2 things are in the way"), "all at once: {error:#}");

    let later = [Stage::Instances, Stage::Lb];
    let iam = || engine::apply(&lab.catalog, &[Stage::Iam], &later, &lab.cx);
    iam().await.unwrap_err();
    assert_eq!(lab.done(), [""; 0], "nor in a run that goes on with other stages");
    engine::apply(&lab.catalog, &[Stage::Iam], &[], &lab.cx).await.unwrap();
    iam().await.unwrap(); // writes nothing, so those stages find it themselves
}

#[tokio::test(start_paused = true)]
async fn twins_stop_a_run_and_both_are_deleted() {
    let lab = Lab::new().await;
    lab.apply().await.unwrap();
    lab.world.lock().unwrap().add(&Key::SubnetA, Owner::Ours, 1, false);
    let error = lab.apply().await.unwrap_err();
    assert!(format!("{error:#}").contains("there are two"), "{error:#}");
    lab.delete().await.unwrap();
    assert_eq!(lab.world.lock().unwrap().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_wanted_goes_after_everything_else_is_right() {
    let lab = Lab::new().await;
    lab.apply().await.unwrap();
    lab.done();
    lab.world.lock().unwrap().add(&Key::LoadBalancer, Owner::Ours, 1, true);
    lab.world.lock().unwrap().exists.remove(&Key::HttpsListener);
    let summary = lab.apply().await.unwrap();
    assert_eq!(lab.done(), ["create HttpsListener", "delete LoadBalancer"]);
    assert_eq!((summary.created, summary.deleted), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_interruption_starts_nothing_new_and_says_so() {
    let lab = Lab::new().await;
    lab.stop.send_replace(true);
    let error = lab.apply().await.unwrap_err();
    assert!(error.is::<Interrupted>(), "{error:#}");
    assert_eq!(lab.world.lock().unwrap().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_resource_that_is_started_is_also_ended() {
    let lab = Lab::new().await;
    lab.apply().await.unwrap();
    let events = lab.events.lock().unwrap();
    let started = events.iter().filter(|event| matches!(event, Event::Started { .. })).count();
    let created =
        |event: &&Event| matches!(event, Event::Finished { outcome: Outcome::Created, .. });
    assert_eq!((started, events.iter().filter(created).count()), (ROWS.len(), ROWS.len()));
}

#[tokio::test(start_paused = true)]
async fn the_catalog_is_in_order() {
    let catalog = jitsi_aws::catalog::catalog(&config());
    let mut above: Vec<&Key> = Vec::new();
    for entry in &catalog {
        assert!(!above.contains(&&entry.key), "{} twice", entry.key);
        for need in &entry.needs {
            assert!(above.contains(&need), "{} stands above {need}, which it needs", entry.key);
            assert!(
                need.stage() <= entry.key.stage(),
                "{} needs a later stage's {need}",
                entry.key
            );
        }
        above.push(&entry.key);
    }
}
