//! What a failover test does to a deployment, and that an outage nobody took back is swept.

use std::{collections::BTreeSet, fs, sync::Arc};

use aws_config::SdkConfig;
use jitsi_aws::{
    aws::{Aws, Calls},
    config::{Files, Overrides, load},
    cx::Cx,
    ha_test::harm::{Harm, Service, Victim},
    names::Names,
};
use jitsi_aws_tests::{
    deployment::{Call, Deployment},
    emulator::{Account, Emulator, REGION, post},
};
use tokio::sync::watch;

#[tokio::test]
async fn an_outage_left_behind_is_swept() {
    let emulator = Emulator::shared();
    experiments_last(emulator.endpoint());
    let account = emulator.account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    jitsi.succeed(&["setup", "all"]);
    leave_an_outage(&jitsi, &sdk).await;
    let plan = jitsi.run(&["plan"]);
    assert_eq!(plan.code, 3, "{}", plan.stdout);
    assert!(plan.stdout.contains("jitsi-zone-outage"), "{}", plan.stdout);
    jitsi.succeed(&["setup", "instances"]);
    assert_eq!(jitsi.run(&["plan"]).code, 0);

    leave_an_outage(&jitsi, &sdk).await;
    let delete = jitsi.succeed(&["setup", "delete"]);
    let deleted = |call: &Call| call.operation == "DeleteExperimentTemplate";
    assert!(delete.calls().iter().any(deleted), "{}", delete.stderr);
    assert_eq!(delete.document()["result"]["left"].as_array().map(Vec::len), Some(0));
}

/// What a failover test does, as the deployer; the calls it makes. One of the outages is left. The
/// instance lives: the emulator's group would not replace it as AWS's does.
pub(crate) async fn all(jitsi: &Deployment) -> BTreeSet<Call> {
    experiments_last(&jitsi.account.endpoint);
    let (cx, calls) = cx(jitsi, &deployer(jitsi));
    let victim = victim(&cx).await;
    for harm in [Harm::Service(Service::Nginx), Harm::Hang(Service::Videobridge), Harm::ZoneOutage]
    {
        harm.inflict(&cx, &victim).await.unwrap().end(&cx).await.unwrap();
    }
    let _left = Harm::ZoneOutage.inflict(&cx, &victim).await.unwrap();
    let call = |call: &jitsi_aws::aws::Call| Call {
        service: call.service.clone(),
        operation: call.operation.clone(),
    };
    calls.all().iter().map(call).collect()
}

async fn leave_an_outage(jitsi: &Deployment, sdk: &SdkConfig) {
    let (cx, _) = cx(jitsi, sdk);
    let _left = Harm::ZoneOutage.inflict(&cx, &victim(&cx).await).await.unwrap();
}

/// The emulator's experiments end as soon as they are looked at, unless it is told otherwise.
fn experiments_last(endpoint: &str) {
    let transition =
        r#"{"model_name": "fis::experiment", "transition": {"progression": "manual", "times": 1}}"#;
    post(endpoint, "/moto-api/state-manager/set-transition", "application/json", transition);
}

fn cx(jitsi: &Deployment, sdk: &SdkConfig) -> (Cx, Calls) {
    let config = load(&jitsi.path("jitsi.toml"), &Overrides::default(), Files::default());
    let config = Arc::new(config.unwrap().config);
    let calls = Calls::default();
    let names = Names::new(&jitsi.name, REGION, &jitsi.account.id);
    let (_, stop) = watch::channel(false);
    (Cx::new(Aws::new(sdk, calls.clone()), config, names, Arc::new(|_| ()), stop), calls)
}

/// With the access key in the deployment's own profile.
pub(crate) fn deployer(jitsi: &Deployment) -> SdkConfig {
    let profile = fs::read_to_string(jitsi.path("credentials")).unwrap();
    let value = |name: &str| {
        let mut lines = profile.lines().filter_map(|line| line.split_once(" = "));
        lines.find(|(key, _)| *key == name).unwrap().1.to_owned()
    };
    let (access_key, secret_key) = (value("aws_access_key_id"), value("aws_secret_access_key"));
    Account { access_key, secret_key, token: None, ..jitsi.account.clone() }.sdk()
}

async fn victim(cx: &Cx) -> Victim {
    use aws_sdk_ec2::types::Filter;
    let running = Filter::builder().name("instance-state-name").values("running").build();
    let answer = cx.aws.ec2.describe_instances().filters(running).send().await.unwrap();
    let instance = &answer.reservations()[0].instances()[0];
    Victim {
        instance_id: instance.instance_id().unwrap().to_owned(),
        zone: instance.placement().unwrap().availability_zone().unwrap().to_owned(),
        subnet_id: instance.subnet_id().unwrap().to_owned(),
    }
}
