//! Faults below the SDK's own retries, at every operation in turn: an answer is lost, a call is
//! refused, the run dies. The next run goes on, nothing is made twice, nothing is left behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use anyhow::Result;
use aws_config::{SdkConfig, retry::RetryConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpClient, SharedHttpConnector,
        },
        orchestrator::HttpRequest,
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    shared::IntoShared,
};
use jitsi_aws::{
    aws::{Aws, Calls},
    catalog::catalog,
    config::{self, Config, Files, Overrides},
    cx::Cx,
    engine::{self, Entry, Stage, Summary},
    names::Names,
};
use jitsi_aws_tests::{
    deployment::Deployment,
    emulator::{Account, Emulator, REGION},
    inventory::{self, Inventory},
    seeds,
};
use tokio::sync::watch;

/// What goes wrong, once, at the first call of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// AWS did it, but its answer never comes.
    AnswerLost,
    /// The run dies: this call and all after it are never sent.
    Killed,
}

/// Breaks one operation of everything that passes through.
#[derive(Clone, Debug)]
struct Saboteur {
    inner: SharedHttpClient,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    fault: Option<(String, Fault)>,
    dead: bool,
    /// Writes seen, in the order they first came.
    seen: Vec<String>,
}

impl HttpClient for Saboteur {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        Sabotaged { inner, plan: Arc::clone(&self.plan) }.into_shared()
    }
}

#[derive(Debug)]
struct Sabotaged {
    inner: SharedHttpConnector,
    plan: Arc<Mutex<Plan>>,
}

impl HttpConnector for Sabotaged {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = operation(&request);
        let fault = {
            let mut plan = self.plan.lock().unwrap();
            if is_write(&operation) && !plan.seen.contains(&operation) {
                plan.seen.push(operation.clone());
            }
            let hit = plan.fault.as_ref().is_some_and(|(at, _)| *at == operation);
            let fault = if hit { plan.fault.take().map(|(_, fault)| fault) } else { None };
            plan.dead |= fault == Some(Fault::Killed);
            if plan.dead { Some(Fault::Killed) } else { fault }
        };
        match fault {
            None => self.inner.call(request),
            Some(Fault::Killed) => {
                HttpConnectorFuture::ready(Err(ConnectorError::user("killed".into())))
            }
            Some(Fault::AnswerLost) => {
                let served = self.inner.call(request);
                HttpConnectorFuture::new(async move {
                    served.await?;
                    Err(ConnectorError::io("the connection broke".into()))
                })
            }
        }
    }
}

/// `CreateVpc` of the query protocol's body, `PutRule` of a JSON target, else method and path.
fn operation(request: &HttpRequest) -> String {
    if let Some(target) = request.headers().get("x-amz-target") {
        return target.rsplit('.').next().unwrap_or(target).to_owned();
    }
    let body = request.body().bytes().unwrap_or_default();
    let body = String::from_utf8_lossy(&body[..body.len().min(200)]);
    let action = body.split('&').find_map(|pair| pair.strip_prefix("Action="));
    if let Some(action) = action {
        return action.to_owned();
    }
    // REST: what follows the bucket's or object's path tells operations apart.
    let uri = request.uri();
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    let query: Vec<&str> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
    format!("{} {}", request.method(), query.join("&"))
}

fn is_write(operation: &str) -> bool {
    !["Describe", "Get", "List", "GET", "HEAD"].iter().any(|verb| operation.starts_with(verb))
}

const STAGES: [Stage; 3] = [Stage::Instances, Stage::Lb, Stage::Monitoring];

/// The stages after `iam`, run in this process so that their calls can be broken.
struct Lab {
    account: Account,
    config: Arc<Config>,
    plan: Arc<Mutex<Plan>>,
    _files: Deployment,
    // Thousands of calls, so one to itself: it works on one processor.
    _emulator: Emulator,
}

impl Lab {
    async fn new() -> Self {
        let emulator = Emulator::start();
        let account = emulator.account().await;
        let files = Deployment::new(account.clone(), "jitsi");
        files.succeed(&["setup", "iam"]);
        let loaded =
            config::load(&files.path("jitsi.toml"), &Overrides::default(), Files::default())
                .unwrap();
        Self {
            account,
            config: Arc::new(loaded.config),
            plan: Arc::default(),
            _files: files,
            _emulator: emulator,
        }
    }

    /// A fresh run: its own clients, connections and memory.
    fn open(&self) -> (Vec<Entry>, Cx) {
        let saboteur =
            Saboteur { inner: Builder::new().build_http(), plan: Arc::clone(&self.plan) };
        let sdk: SdkConfig = self
            .account
            .sdk()
            .into_builder()
            .http_client(saboteur)
            // As the program's own, but in milliseconds: it is the logic that is tested.
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(3)
                    .with_initial_backoff(std::time::Duration::from_millis(1)),
            )
            .build();
        let names = Names::new("jitsi", REGION, &self.account.id);
        let (_, stop) = watch::channel(false);
        let aws = Aws::new(&sdk, Calls::default());
        let cx = Cx::new(aws, Arc::clone(&self.config), names, Arc::new(|_| {}), stop);
        (catalog(&self.config), cx)
    }

    async fn setup(&self) -> Result<Summary> {
        let (catalog, cx) = self.open();
        engine::apply(&catalog, &STAGES, &[], &cx).await
    }

    async fn delete(&self) -> Result<Summary> {
        let (catalog, cx) = self.open();
        let doomed = engine::inventory(&catalog, &STAGES, &cx).await?;
        engine::delete(&catalog, &doomed, &cx).await
    }

    fn sabotage(&self, operation: &str, fault: Fault) {
        *self.plan.lock().unwrap() =
            Plan { fault: Some((operation.to_owned(), fault)), ..Plan::default() };
    }

    /// Ends the sabotage; whether it happened, and the writes that were seen.
    fn recover(&self) -> (bool, Vec<String>) {
        let plan = std::mem::take(&mut *self.plan.lock().unwrap());
        (plan.fault.is_none(), plan.seen)
    }

    async fn inventory(&self) -> Inventory {
        inventory::take(&self.account.sdk()).await
    }
}

/// How many there are of each kind: ids differ between runs.
fn census(inventory: &Inventory) -> BTreeMap<&str, usize> {
    let mut census = BTreeMap::new();
    for line in inventory {
        let kind = line.split_once(' ').map_or(line.as_str(), |(kind, _)| kind);
        *census.entry(kind).or_default() += 1;
    }
    census
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_answer_is_lost_the_next_run_goes_on_and_nothing_is_left() {
    break_each_operation(Fault::AnswerLost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_a_run_dies_the_next_goes_on_and_nothing_is_left() {
    break_each_operation(Fault::Killed).await;
}

async fn break_each_operation(fault: Fault) {
    let lab = Lab::new().await;
    let empty = lab.inventory().await;
    lab.setup().await.unwrap();
    let (_, made) = lab.recover();
    let complete = lab.inventory().await;
    lab.delete().await.unwrap();
    let (_, unmade) = lab.recover();
    inventory::assert_same(&lab.inventory().await, &empty, "nothing is left");
    assert!(made.len() > 30 && unmade.len() > 15, "{} and {}", made.len(), unmade.len());

    let mut unmade = of_these_seeds(&unmade);
    for operation in of_these_seeds(&made) {
        let what = format!("{fault:?} at {operation}");
        break_once(&lab, operation, fault, &what, Lab::setup).await;
        assert_eq!(census(&lab.inventory().await), census(&complete), "{what}");

        let Some(operation) = unmade.next() else {
            lab.delete().await.unwrap();
            continue;
        };
        let what = format!("{fault:?} at {operation}, deleting");
        break_once(&lab, operation, fault, &what, Lab::delete).await;
        inventory::assert_same(&lab.inventory().await, &empty, &what);
    }
}

/// A third of all operations for each seed: three seeds break every one of them.
fn of_these_seeds(operations: &[String]) -> impl Iterator<Item = &String> {
    const PARTS: u64 = 3;
    let parts: BTreeSet<u64> = seeds(0).map(|seed| seed % PARTS).collect();
    (0..PARTS)
        .cycle()
        .zip(operations)
        .filter(move |(part, _)| parts.contains(part))
        .map(|(_, one)| one)
}

/// Runs into the fault, which only a lost answer lets it get over by itself; the next run succeeds.
async fn break_once(
    lab: &Lab,
    operation: &str,
    fault: Fault,
    what: &str,
    run: impl AsyncFn(&Lab) -> Result<Summary>,
) {
    lab.sabotage(operation, fault);
    let first = run(lab).await;
    assert!(lab.recover().0, "{what}: did not happen");
    assert_eq!(first.is_ok(), fault == Fault::AnswerLost, "{what}: {first:?}");
    run(lab).await.unwrap_or_else(|error| panic!("{what}: {error:#}"));
}
