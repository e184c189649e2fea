//! Somebody else's things, one for every kind in the catalog: under our name without a tag, under our name
//! with another deployment's tag, and with our tag under another name. Nothing of them is ever changed or
//! deleted, and whoever meets them is told.

mod hanging; // on what is ours
mod things;

use aws_config::SdkConfig;
use aws_sdk_ec2::types::{Filter, Tag};
use jitsi_aws::{
    catalog::catalog,
    config::{self, Files, Overrides},
    engine::{Key, Stage},
};
use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::Emulator,
    inventory,
};
use serde_json::Value;
use things::{Kind, Thing};

/// How somebody else's can meet ours.
enum Row {
    /// The name is taken once: theirs is in the way.
    InTheWay(Kind, &'static str),
    /// Names are nobody's: theirs stands beside ours.
    Beside(Kind, &'static str),
    /// Nobody else's can be met: why.
    Never(&'static str),
}

const PART: &str = "is looked for only inside of something that is ours";

/// No kind is left out: this knows them all, or does not compile.
fn row(key: &Key) -> Row {
    use Row::{Beside, InTheWay, Never};
    match key {
        Key::InstancesPolicy => InTheWay(Kind::Policy, "jitsi-instances"),
        Key::LbPolicy => InTheWay(Kind::Policy, "jitsi-lb"),
        Key::MonitoringPolicy => InTheWay(Kind::Policy, "jitsi-monitoring"),
        Key::DeployerUser => InTheWay(Kind::User, "jitsi-deployer"),
        Key::KeyPair => InTheWay(Kind::KeyPair, "jitsi"),
        Key::InstanceRole => InTheWay(Kind::Role, "jitsi-instance"),
        Key::InstanceProfile => InTheWay(Kind::InstanceProfile, "jitsi-instance"),
        Key::FaultInjectionRole => InTheWay(Kind::Role, "jitsi-fault-injection"),
        Key::LeaseBucket => InTheWay(Kind::Bucket, "jitsi-ACCOUNT-eu-central-1-lease"),
        Key::AgentBucket => InTheWay(Kind::Bucket, "jitsi-ACCOUNT-eu-central-1"),
        Key::Vpc => Beside(Kind::Vpc, "jitsi"),
        Key::InternetGateway => Beside(Kind::InternetGateway, "jitsi"),
        Key::RouteTable => Beside(Kind::RouteTable, "jitsi"),
        Key::SubnetA => Beside(Kind::Subnet, "jitsi-a"),
        Key::SubnetB => Beside(Kind::Subnet, "jitsi-b"),
        // In another VPC; in ours it is in the way, which has a test of its own.
        Key::AlbSecurityGroup => Beside(Kind::SecurityGroup, "jitsi-alb"),
        Key::InstanceSecurityGroup => Beside(Kind::SecurityGroup, "jitsi-instance"),
        Key::TargetGroup => InTheWay(Kind::TargetGroup, "jitsi"),
        Key::LaunchTemplate => InTheWay(Kind::LaunchTemplate, "jitsi"),
        Key::AutoScalingGroup => InTheWay(Kind::AutoScalingGroup, "jitsi"),
        Key::Certificate => Beside(Kind::Certificate, "jitsi.example.org"),
        Key::LoadBalancer => InTheWay(Kind::LoadBalancer, "jitsi"),
        Key::Topic => InTheWay(Kind::Topic, "jitsi"),
        Key::TerminationRule => InTheWay(Kind::Rule, "jitsi-termination"),
        Key::LaunchRule => InTheWay(Kind::Rule, "jitsi-launch"),
        Key::HealthyHostsAlarm => InTheWay(Kind::Alarm, "jitsi-healthy-hosts"),
        Key::Elb5xxAlarm => InTheWay(Kind::Alarm, "jitsi-elb-5xx"),
        Key::StatusCheckAlarm => InTheWay(Kind::Alarm, "jitsi-status-check"),
        Key::Dashboard => InTheWay(Kind::Dashboard, "jitsi-eu-central-1"),

        Key::AccessKey
        | Key::AgentObject // objects of others in our bucket have a test of their own
        | Key::LaunchHook
        | Key::TerminateHook
        | Key::Instance
        | Key::HttpsListener
        | Key::HttpListener
        | Key::ElbHealthCheck
        | Key::TopicPolicy
        | Key::FormerAliasRecords
        | Key::FormerSubscriptions
        | Key::EmailSubscription(_) => Never(PART),
        Key::ZoneOutage => Never("has no name: the tag alone tells whose it is"),
        Key::AliasRecord => Never("only where a hosted zone is configured; has a test of its own"),
        Key::AutoScalingServiceRole
        | Key::LoadBalancingServiceRole
        | Key::FaultInjectionServiceRole => Never("belongs to the account, and is only used"),
    }
}

fn keys(jitsi: &Deployment) -> Vec<Key> {
    let path = jitsi.path("jitsi.toml");
    let config = config::load(&path, &Overrides::default(), Files::default()).unwrap().config;
    catalog(&config).into_iter().map(|entry| entry.key).collect()
}

/// With events and every call.
fn run(jitsi: &Deployment, arguments: &[&str]) -> Run {
    let yes = format!("--yes={}", jitsi.name);
    jitsi.run(&[arguments, &[yes.as_str(), "--json", "--verbose"]].concat())
}

/// Refused for a reason the user can mend, before anything was written; everything that was said.
fn refused(run: &Run, what: &str) -> String {
    assert_eq!(run.code, 1, "{what}:\n{}\n{}", run.stdout, run.stderr);
    assert_eq!(run.writes(), [], "{what}");
    run.stdout.clone()
}

async fn looks(things: &[Thing], sdk: &SdkConfig) -> Vec<String> {
    let mut looks = Vec::new();
    for thing in things {
        looks.push(thing.look(sdk).await);
    }
    looks
}

#[tokio::test]
async fn what_has_our_name_without_a_tag_is_told_and_left() {
    in_the_way(None).await;
}

#[tokio::test]
async fn what_has_our_name_and_anothers_tag_is_told_and_left() {
    in_the_way(Some("other")).await;
}

async fn in_the_way(owner: Option<&str>) {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    let mut theirs = Vec::new();
    for key in keys(&jitsi) {
        match row(&key) {
            Row::InTheWay(kind, name) => {
                let name = name.replace("ACCOUNT", &jitsi.account.id);
                theirs.push((key, Thing::make(kind, &name, owner, &jitsi, &sdk).await));
            }
            Row::Beside(..) => {}
            Row::Never(why) => assert!(!why.is_empty(), "{key} has no row, and no reason"),
        }
    }
    let (keys, theirs): (Vec<_>, Vec<_>) = theirs.into_iter().unzip();
    let before = looks(&theirs, &sdk).await;
    let all = inventory::take(&sdk).await;
    for command in [&["setup", "all"][..], &["setup", "iam"], &["setup", "delete"]] {
        let told = refused(&run(&jitsi, command), &format!("{command:?}"));
        for (key, thing) in keys.iter().zip(&theirs) {
            if command[1] == "iam" && key.stage() != Stage::Iam {
                continue;
            }
            let line = format!("{} `{}`", key.title(), thing.name);
            assert!(told.contains(&line), "{command:?} does not tell of {line}:\n{told}");
        }
        assert_eq!(looks(&theirs, &sdk).await, before, "{command:?}");
    }
    inventory::assert_same(&inventory::take(&sdk).await, &all, "nothing was made beside it");
}

#[tokio::test]
async fn each_alone_stops_a_run_before_its_first_write() {
    let emulator = Emulator::shared();
    let mut tried = 0;
    for key in keys(&Deployment::new(emulator.account().await, "jitsi")) {
        let Row::InTheWay(kind, name) = row(&key) else { continue };
        let account = emulator.account().await;
        let sdk = account.sdk();
        let jitsi = Deployment::new(account, "jitsi");
        let name = name.replace("ACCOUNT", &jitsi.account.id);
        let theirs = [Thing::make(kind, &name, None, &jitsi, &sdk).await];
        let before = looks(&theirs, &sdk).await;
        let told = refused(&run(&jitsi, &["setup", "all"]), &format!("{key}"));
        assert!(told.contains(&format!("{} `{name}`", key.title())), "{told}");
        assert_eq!(looks(&theirs, &sdk).await, before, "{key}");
        tried += 1;
    }
    assert!(tried > 15, "{tried}");
}

#[tokio::test]
async fn what_stands_beside_ours_is_left() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    let mut theirs = Vec::new();
    for key in keys(&jitsi) {
        if let Row::Beside(kind, name) = row(&key) {
            for owner in [None, Some("other")] {
                theirs.push(Thing::make(kind, name, owner, &jitsi, &sdk).await);
            }
        }
    }
    let before = looks(&theirs, &sdk).await;
    jitsi.succeed(&["setup", "all"]);
    assert_eq!(looks(&theirs, &sdk).await, before);
    assert_eq!(jitsi.succeed(&["setup", "all"]).writes(), [], "ours are told from theirs");
    let delete = jitsi.succeed(&["setup", "delete"]);
    assert_eq!(delete.document()["result"]["left"], Value::Array(Vec::new()));
    assert_eq!(looks(&theirs, &sdk).await, before);
}

#[tokio::test]
async fn our_tag_on_something_of_another_name_is_told_and_left() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    let mut theirs = Vec::new();
    for key in keys(&jitsi) {
        if let Row::InTheWay(kind, _) | Row::Beside(kind, _) = row(&key) {
            // Of a certificate the tag alone tells whose it is; a dashboard has none.
            if !matches!(kind, Kind::Certificate | Kind::Dashboard) {
                let name = format!("theirs-{}", theirs.len());
                theirs.push(Thing::make(kind, &name, Some("jitsi"), &jitsi, &sdk).await);
            }
        }
    }
    let before = looks(&theirs, &sdk).await;
    jitsi.succeed(&["setup", "all"]);
    assert_eq!(looks(&theirs, &sdk).await, before);
    let delete = run(&jitsi, &["setup", "delete"]);
    assert_eq!(delete.code, 1, "{}\n{}", delete.stdout, delete.stderr);
    for thing in &theirs {
        let id = thing.id();
        assert!(delete.stdout.contains(id), "does not tell of {id}:\n{}", delete.stdout);
    }
    assert_eq!(looks(&theirs, &sdk).await, before);
    let again = run(&jitsi, &["setup", "delete"]);
    refused(&again, "again");
    assert!(again.stdout.contains("deleted 0, and 0 of ours are left"), "{}", again.stdout);
}

#[tokio::test]
async fn somebody_elses_objects_keep_the_bucket() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    jitsi.succeed(&["setup", "instances"]);
    let s3 = things::s3(&sdk);
    let bucket = format!("jitsi-{}-eu-central-1", jitsi.account.id);
    let theirs: Vec<String> = (10..22).map(|number| format!("agents/photo-{number}.jpg")).collect();
    for key in &theirs {
        s3.put_object().bucket(&bucket).key(key).send().await.unwrap();
    }
    assert_eq!(jitsi.succeed(&["setup", "instances"]).writes(), [], "not swept either");
    let all = inventory::take(&sdk).await;
    let told = refused(&run(&jitsi, &["setup", "delete"]), "delete");
    for expected in ["agents/photo-10.jpg", "agents/photo-19.jpg", "and 2 more"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    inventory::assert_same(&inventory::take(&sdk).await, &all, "nothing was deleted");
    for key in &theirs {
        s3.delete_object().bucket(&bucket).key(key).send().await.unwrap();
    }
    jitsi.succeed(&["setup", "delete"]);
}

#[tokio::test]
async fn somebody_elses_parts_of_our_network_keep_it() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    jitsi.succeed(&["setup", "instances"]);
    let ec2 = aws_sdk_ec2::Client::new(&sdk);
    // Theirs, in our VPC, with a name that is taken once there: as if somebody had made it before us.
    let group = Filter::builder().name("group-name").values("jitsi-alb").build();
    let groups = ec2.describe_security_groups().filters(group).send().await.unwrap();
    let id = groups.security_groups()[0].group_id().unwrap();
    let ours = groups.security_groups()[0]
        .tags()
        .iter()
        .map(|tag| Tag::builder().set_key(tag.key().map(str::to_owned)).build());
    ec2.delete_tags().resources(id).set_tags(Some(ours.collect())).send().await.unwrap();

    let told = refused(&run(&jitsi, &["setup", "instances"]), "setup");
    assert!(told.contains("security group `jitsi-alb`"), "{told}");
    let told = refused(&run(&jitsi, &["setup", "delete"]), "delete");
    assert!(told.contains(&format!("security group {id}")), "{told}");
}

#[tokio::test]
async fn somebody_elses_way_into_our_network_keeps_it() {
    use aws_sdk_ec2::types::{LaunchTemplateSpecification, VpcEndpointType};
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    jitsi.succeed(&["setup", "all"]);
    let ec2 = aws_sdk_ec2::Client::new(&sdk);
    let ours = || Filter::builder().name("tag:jitsi-aws:deployment").values("jitsi").build();
    let vpcs = ec2.describe_vpcs().filters(ours()).send().await.unwrap();
    let vpc = vpcs.vpcs()[0].vpc_id().unwrap();
    let subnets = ec2.describe_subnets().filters(ours()).send().await.unwrap();
    let subnet = subnets.subnets()[0].subnet_id().unwrap();
    let other = ec2.create_vpc().cidr_block("10.99.0.0/16").send().await.unwrap();
    let other = other.vpc().unwrap().vpc_id().unwrap();

    // As an RDS database, a NAT gateway or a function has one.
    let call = ec2.create_network_interface().subnet_id(subnet).description("RDSNetworkInterface");
    let interface = call.send().await.unwrap();
    let interface = interface.network_interface().unwrap().network_interface_id().unwrap();
    let call = ec2.create_vpc_endpoint().vpc_id(vpc).vpc_endpoint_type(VpcEndpointType::Gateway);
    let endpoint = call.service_name("com.amazonaws.eu-central-1.s3").send().await.unwrap();
    let endpoint = endpoint.vpc_endpoint().unwrap().vpc_endpoint_id().unwrap();
    let acl = ec2.create_network_acl().vpc_id(vpc).send().await.unwrap();
    let acl = acl.network_acl().unwrap().network_acl_id().unwrap();
    let call = ec2.create_vpc_peering_connection().vpc_id(other).peer_vpc_id(vpc);
    let peering = call.send().await.unwrap();
    let peering = peering.vpc_peering_connection().unwrap().vpc_peering_connection_id().unwrap();
    let vpn = ec2.create_vpn_gateway().r#type("ipsec.1".into()).send().await.unwrap();
    let vpn = vpn.vpn_gateway().unwrap().vpn_gateway_id().unwrap();
    ec2.attach_vpn_gateway().vpn_gateway_id(vpn).vpc_id(vpc).send().await.unwrap();

    // From our launch template, which gives it our tags, as somebody does who wants to look at one.
    let template = LaunchTemplateSpecification::builder().launch_template_name("jitsi").build();
    let call = ec2.run_instances().launch_template(template).subnet_id(subnet);
    let stray = call.min_count(1).max_count(1).send().await.unwrap();
    let stray = stray.instances()[0].instance_id().unwrap();

    let all = inventory::take(&sdk).await;
    for command in [&["setup", "delete"][..], &["setup", "delete", "--keep-iam"]] {
        let told = refused(&run(&jitsi, command), &format!("{command:?}"));
        for line in [
            format!("instance {stray}, which has our tags"),
            format!("network interface {interface}: RDSNetworkInterface"),
            format!("VPC endpoint {endpoint} of com.amazonaws.eu-central-1.s3"),
            format!("network ACL {acl}"),
            format!("VPC peering connection {peering}"),
            format!("virtual private gateway {vpn}"),
        ] {
            assert!(told.contains(&line), "{command:?} does not tell of {line}:\n{told}");
        }
        let holds = told.split("VPC `jitsi`:").nth(1).unwrap();
        assert_eq!(holds.matches(" eni-").count(), 1, "ours are not told: {told}");
    }
    inventory::assert_same(&inventory::take(&sdk).await, &all, "nothing was deleted");

    ec2.delete_network_interface().network_interface_id(interface).send().await.unwrap();
    ec2.delete_vpc_endpoints().vpc_endpoint_ids(endpoint).send().await.unwrap();
    ec2.delete_network_acl().network_acl_id(acl).send().await.unwrap();
    let call = ec2.delete_vpc_peering_connection().vpc_peering_connection_id(peering);
    call.send().await.unwrap();
    ec2.detach_vpn_gateway().vpn_gateway_id(vpn).vpc_id(vpc).send().await.unwrap();
    ec2.terminate_instances().instance_ids(stray).send().await.unwrap();
    jitsi.succeed(&["setup", "delete"]);
}

#[tokio::test]
async fn a_bucket_of_our_name_in_another_account_is_told_and_left() {
    let emulator = Emulator::shared();
    let squatter = emulator.account().await;
    let theirs = squatter.sdk();
    let s3 = things::s3(&theirs);
    for ending in ["", "-lease"] {
        let jitsi = Deployment::new(emulator.account().await, "jitsi");
        let bucket = format!("jitsi-{}-eu-central-1{ending}", jitsi.account.id);
        let thing = [Thing::make(Kind::Bucket, &bucket, Some("jitsi"), &jitsi, &theirs).await];
        let before = looks(&thing, &theirs).await;
        let all = inventory::take(&jitsi.account.sdk()).await;
        for command in [&["plan"][..], &["setup", "all"], &["setup", "delete"]] {
            let run = run(&jitsi, command);
            let told = refused(&run, &format!("{command:?}"));
            let words = "another AWS account has taken this name";
            assert!(told.contains(&bucket) && told.contains(words), "{command:?}: {told}");
            assert!(!told.contains("AccessDenied"), "{command:?}: {told}");
            let hint = told.contains("choose another [deployment] name in jitsi.toml");
            assert!(hint || command.contains(&"delete"), "{command:?}: {told}");
        }
        assert_eq!(looks(&thing, &theirs).await, before);
        inventory::assert_same(&inventory::take(&jitsi.account.sdk()).await, &all, &bucket);
        let objects = s3.list_objects_v2().bucket(&bucket).send().await.unwrap();
        assert_eq!(objects.key_count(), Some(3), "nothing of ours was put there");
    }
}

#[tokio::test]
async fn a_record_that_leads_elsewhere_is_found_before_the_first_write() {
    use aws_sdk_route53::types::{
        Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType,
    };
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    let zone = crate::privileges::hosted_zone(&sdk).await;
    let value = ResourceRecord::builder().value("192.0.2.1").build().unwrap();
    let record = ResourceRecordSet::builder()
        .name("jitsi.example.org")
        .r#type(RrType::A)
        .ttl(60)
        .resource_records(value)
        .build()
        .unwrap();
    let change = Change::builder().action(ChangeAction::Create).resource_record_set(record).build();
    let batch = ChangeBatch::builder().changes(change.unwrap()).build().unwrap();
    let route53 = aws_sdk_route53::Client::new(&sdk);
    let call = route53.change_resource_record_sets().hosted_zone_id(&zone).change_batch(batch);
    call.send().await.unwrap();
    jitsi.configure(|text| format!("{text}[dns]\nhosted_zone = \"{zone}\"\n"));
    let told = refused(&run(&jitsi, &["setup", "all"]), "setup");
    assert!(told.contains("it leads elsewhere"), "{told}");
}
