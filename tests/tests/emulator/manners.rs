//! The whole life under AWS's manners (`tests/manners`): what AWS delays, misspells, throttles or
//! refuses for a moment changes neither the outcome nor the number of things made, from any seed.

use std::time::Instant;

use jitsi_aws_tests::{
    deployment::Deployment,
    emulator::{Emulator, get},
    inventory, seeds,
};
use serde_json::Value;

use crate::drift;

// All other tests meet the manners of `MANNERS_SEED`, 1 unless it is set.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_whole_life_passes_from_every_seed() {
    for seed in seeds(2) {
        from_seed(&seed.to_string()).await;
    }
}

async fn from_seed(seed: &str) {
    let emulator = Emulator::with_manners(seed);
    let began = Instant::now();
    life(&emulator, seed).await;
    let told: Value = serde_json::from_str(&get(emulator.endpoint(), "/manners")).unwrap();
    let met = told["seen"].as_object().unwrap();
    let times: u64 = met.values().filter_map(Value::as_u64).sum();
    #[expect(clippy::print_stderr, reason = "what patience costs is told")]
    {
        eprintln!(
            "seed {seed}: {} kinds of manners met {times} times, the life took {:.1} s",
            met.len(),
            began.elapsed().as_secs_f64()
        );
    }
    for kind in ["Spellings", "Ghosts", "Keys", "Newness", "Launches", "Documents", "Conflicts"] {
        assert!(met.keys().any(|seen| seen.starts_with(kind)), "seed {seed}: {kind} not met");
    }
}

async fn life(emulator: &Emulator, seed: &str) {
    let account = emulator.account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    let iam = aws_sdk_iam::Client::new(&sdk);
    for service in ["autoscaling", "elasticloadbalancing", "fis"] {
        let service = format!("{service}.amazonaws.com");
        iam.create_service_linked_role().aws_service_name(&service).send().await.expect("a role");
    }
    let before = inventory::take(&sdk).await;

    jitsi.succeed(&["setup", "all"]);
    let complete = inventory::take(&sdk).await;
    assert!(complete.is_superset(&before));
    assert_eq!(jitsi.succeed(&["setup", "all"]).writes(), [], "seed {seed}: nothing changes");
    inventory::assert_same(&inventory::take(&sdk).await, &complete, "nothing is made twice");

    drift::spoil(&sdk, &jitsi.account.id).await;
    jitsi.succeed(&["setup", "all"]);
    assert_eq!(jitsi.succeed(&["setup", "all"]).writes(), [], "seed {seed}: all is mended");

    drift::tidy(&sdk).await;
    let delete = jitsi.succeed(&["setup", "delete"]);
    assert_eq!(delete.document()["result"]["left"].as_array().map(Vec::len), Some(0));
    let left = inventory::take(&sdk).await;
    let elsewhere = |line: &&String| line.starts_with("internet gateway");
    let (left, before): (inventory::Inventory, inventory::Inventory) = (
        left.iter().filter(|line| !elsewhere(line)).cloned().collect(),
        before.iter().filter(|line| !elsewhere(line)).cloned().collect(),
    );
    inventory::assert_same(&left, &before, "nothing is left but the gateway the test made");
}
