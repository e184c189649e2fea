//! Least privilege, proven both ways. Before the emulator stands a layer that asks of every call what
//! IAM asks on AWS, with real things, tags and conditions, and refuses what no policy allows
//! (`tests/strict`): so every test's whole life passes as the deployer or fails. Here it does everything
//! it ever does, and afterwards no grant may be left that nothing used.

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification, Volume, VolumeState};
use aws_sdk_iam::Client;
use jitsi_aws_tests::{
    deployment::Deployment,
    emulator::{Account, Emulator, get},
};
use serde_json::{Value, json};

use crate::{drift, harm, held, images};

/// Allowed, but not seen here: the emulator is too quick for the call to be needed.
const UNSEEN: [(&str, &str); 4] = [
    ("cloudwatch:GetMetricStatistics", "looking on during a failover test"),
    ("ec2:DisassociateRouteTable", "a subnet somebody added to the route table that is deleted"),
    ("ec2:GetConsoleOutput", "while an instance boots during a failover test"),
    ("ec2:TerminateInstances", "when the emptied group has not ended its own yet"),
];

#[tokio::test]
async fn the_deployer_may_do_exactly_what_it_does() {
    let emulator = Emulator::with_manners("1");
    let admin = administrator(&emulator).await;
    let sdk = admin.sdk();
    let jitsi = Deployment::new(admin, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    let key = images::customers_key(&sdk).await; // which is looked at before a launch
    images::grant(&sdk, &key, &jitsi.account.id).await;
    for stage in ["instances", "lb", "monitoring"] {
        jitsi.succeed(&["setup", stage]);
    }
    harm::all(&jitsi).await;
    // The command by which the instance is replaced at a time of the operator's choosing.
    let deployer = aws_sdk_autoscaling::Client::new(&harm::deployer(&jitsi));
    deployer.start_instance_refresh().auto_scaling_group_name("jitsi").send().await.unwrap();
    drift::spoil(&sdk, &jitsi.account.id).await;
    jitsi.configure(|text| {
        text.replace("boss@", "chief@")
            + "[instance]\ntype = \"c7i.xlarge\"\n[meetings]\ndrain = \"20m\"\n[network]\nssh_from = [\"198.51.100.0/24\"]\n"
    });
    jitsi.write_certificate("jitsi.example.org");
    held::hold(&sdk).await; // ended, for its recipe is no more
    for stage in ["instances", "lb", "monitoring"] {
        jitsi.succeed(&["setup", stage]);
    }
    drift::tidy(&sdk).await;
    jitsi.succeed(&["setup"]); // looks at everything
    jitsi.succeed(&["list"]);
    let zone = hosted_zone(&sdk).await;
    jitsi.configure(|text| {
        let own = text.split("[certificate]").next().unwrap();
        format!(
            "{own}[certificate]\nmode = \"request\"\n[agent]\nbinary = \"agent\"\n[dns]\nhosted_zone = \"{zone}\"\n[monitoring]\nemails = [\"chief@example.org\"]\n"
        )
    });
    jitsi.succeed(&["setup", "iam"]); // rights on this zone
    jitsi.succeed(&["setup", "lb"]);
    let text = std::fs::read_to_string(jitsi.path("jitsi.toml")).unwrap();
    jitsi.configure(|_| text.replace("jitsi.example.org", "meet.jitsi.example.org"));
    jitsi.succeed(&["setup", "lb"]); // the old domain's record goes
    volume_left_behind(&sdk).await;
    let call = aws_sdk_autoscaling::Client::new(&sdk).suspend_processes();
    call.auto_scaling_group_name("jitsi").scaling_processes("Terminate").send().await.unwrap();
    let delete = jitsi.succeed(&["setup", "delete", "--keep-iam"]);
    assert_eq!(delete.document()["result"]["left"], json!([]), "though the tagging API names them");
    let calls = delete.changes();
    let at = |operation: &str| calls.iter().position(|call| call.operation == operation);
    let (resumed, emptied) = (at("ResumeProcesses"), at("DeleteLifecycleHook"));
    assert!(resumed.is_some() && resumed < emptied, "the group may end its instance: {calls:?}");
    let volumes = aws_sdk_ec2::Client::new(&sdk).describe_volumes().filters(ours()).send().await;
    let available = |volume: &&Volume| volume.state() == Some(&VolumeState::Available);
    assert_eq!(volumes.unwrap().volumes().iter().filter(available).count(), 0);

    let told: Value =
        serde_json::from_str(&get(emulator.endpoint(), &format!("/strict/{}", jitsi.account.id)))
            .unwrap();
    assert_eq!(told["refused"], json!([]));
    assert_eq!(told["missing"], json!([]), "decided upon in tests/strict/managed.py");
    let unused: Vec<&str> =
        told["unused"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let superfluous: Vec<&&str> = unused
        .iter()
        .filter(|grant| {
            !UNSEEN.iter().any(|(action, _)| grant.contains(&format!(": {action} on ")))
        })
        .collect();
    assert!(superfluous.is_empty(), "allowed, but never asked for: {superfluous:#?}");
    for (action, _) in UNSEEN {
        let listed = unused.iter().any(|grant| grant.contains(&format!(": {action} on ")));
        assert!(listed, "{action} was seen after all, or is granted no longer");
    }
}

/// An administrator the emulator knows, so that enforcement lets it do everything.
async fn administrator(emulator: &Emulator) -> Account {
    let root = emulator.account().await;
    let iam = Client::new(&root.sdk());
    iam.create_user().user_name("admin").send().await.unwrap();
    iam.put_user_policy()
        .user_name("admin")
        .policy_name("all")
        .policy_document(allow(&json!(["*"])).to_string())
        .send()
        .await
        .unwrap();
    let key = iam.create_access_key().user_name("admin").send().await.unwrap();
    let key = key.access_key().unwrap();
    Account {
        access_key: key.access_key_id().into(),
        secret_key: key.secret_access_key().into(),
        token: None,
        ..root
    }
}

fn allow(actions: &Value) -> Value {
    let statement = json!({ "Effect": "Allow", "Action": actions, "Resource": "*" });
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

/// A volume that outlived its instance.
async fn volume_left_behind(sdk: &aws_config::SdkConfig) {
    let tag = |key| Tag::builder().key(key).value("jitsi").build();
    let tags = TagSpecification::builder()
        .resource_type(ResourceType::Volume)
        .tags(tag("Name"))
        .tags(tag("jitsi-aws:deployment"))
        .build();
    let volume = aws_sdk_ec2::Client::new(sdk)
        .create_volume()
        .availability_zone("eu-central-1a")
        .size(8)
        .tag_specifications(tags);
    volume.send().await.unwrap();
}

fn ours() -> Filter {
    Filter::builder().name("tag:jitsi-aws:deployment").values("jitsi").build()
}

/// A hosted zone for the domain, with an id such as AWS gives.
pub(crate) async fn hosted_zone(sdk: &aws_config::SdkConfig) -> String {
    let route53 = aws_sdk_route53::Client::new(sdk);
    for attempt in 0..2000 {
        let zone = route53
            .create_hosted_zone()
            .name("jitsi.example.org")
            .caller_reference(attempt.to_string())
            .send()
            .await
            .unwrap();
        let id = zone.hosted_zone().unwrap().id().trim_start_matches("/hostedzone/").to_owned();
        if id.starts_with('Z') {
            return id;
        }
    }
    panic!("the emulator gives no id that begins with Z, as AWS's do");
}
