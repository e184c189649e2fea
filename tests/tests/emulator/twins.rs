//! Two of a kind, as two operators at once left them before there was a lease: seen, told apart by what
//! is in use, and repaired by a command that touches nothing in use.

use aws_config::SdkConfig;
use aws_sdk_acm::primitives::Blob;
use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use jitsi_aws_tests::{deployment::Deployment, emulator::Emulator, inventory};
use serde_json::Value;

/// The tags of our own.
const TAGS: [(&str, &str); 2] =
    [("jitsi-aws:deployment", "jitsi"), ("jitsi-aws:region", "eu-central-1")];

fn tagged(kind: ResourceType, name: &str) -> TagSpecification {
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let tags = TAGS.map(|(key, value)| tag(key, value));
    TagSpecification::builder()
        .resource_type(kind)
        .set_tags(Some([&tags[..], &[tag("Name", name)]].concat()))
        .build()
}

/// A second network with what belongs in it, and a second gateway, route table and certificate. The
/// number of things made.
async fn make_twins(jitsi: &Deployment, sdk: &SdkConfig) -> usize {
    let ec2 = aws_sdk_ec2::Client::new(sdk);
    let vpc = ec2.create_vpc().cidr_block("10.0.0.0/16");
    let vpc = vpc.tag_specifications(tagged(ResourceType::Vpc, "jitsi")).send().await.unwrap();
    let vpc = vpc.vpc().unwrap().vpc_id().unwrap();
    let gateway = ec2.create_internet_gateway();
    let gateway = gateway.tag_specifications(tagged(ResourceType::InternetGateway, "jitsi"));
    let gateway = gateway.send().await.unwrap();
    let gateway = gateway.internet_gateway().unwrap().internet_gateway_id().unwrap();
    ec2.attach_internet_gateway().internet_gateway_id(gateway).vpc_id(vpc).send().await.unwrap();
    let table = ec2.create_route_table().vpc_id(vpc);
    let table = table.tag_specifications(tagged(ResourceType::RouteTable, "jitsi"));
    table.send().await.unwrap();
    let subnet = ec2.create_subnet().vpc_id(vpc).cidr_block("10.0.0.0/24");
    let subnet = subnet.availability_zone("eu-central-1a");
    let subnet = subnet.tag_specifications(tagged(ResourceType::Subnet, "jitsi-a"));
    subnet.send().await.unwrap();
    for name in ["jitsi-alb", "jitsi-instance"] {
        let group = ec2.create_security_group().vpc_id(vpc).group_name(name).description("x");
        let group = group.tag_specifications(tagged(ResourceType::SecurityGroup, name));
        group.send().await.unwrap();
    }
    // One in the network that is used, and a gateway that is attached to nothing.
    let vpcs = ec2.describe_vpcs().send().await.unwrap();
    let ours = |vpc: &&aws_sdk_ec2::types::Vpc| {
        vpc.tags().iter().any(|tag| tag.key() == Some("jitsi-aws:stage"))
    };
    let used = vpcs.vpcs().iter().find(ours).unwrap().vpc_id().unwrap();
    let table = ec2.create_route_table().vpc_id(used);
    table.tag_specifications(tagged(ResourceType::RouteTable, "jitsi")).send().await.unwrap();
    let gateway = ec2.create_internet_gateway();
    let gateway = gateway.tag_specifications(tagged(ResourceType::InternetGateway, "jitsi"));
    gateway.send().await.unwrap();

    let acm = aws_sdk_acm::Client::new(sdk);
    let read = |name: &str| Blob::new(std::fs::read(jitsi.path(name)).unwrap());
    let tag = |(key, value): (&str, &str)| {
        aws_sdk_acm::types::Tag::builder().key(key).value(value).build().unwrap()
    };
    acm.import_certificate()
        .certificate(read("cert.pem"))
        .certificate_chain(read("chain.pem"))
        .private_key(read("key.pem"))
        .set_tags(Some(TAGS.map(tag).into()))
        .send()
        .await
        .unwrap();
    9 // with the new network's main route table and default group, which go with it, 11
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twins_are_repaired_and_nothing_in_use_is_touched() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    jitsi.succeed(&["setup", "all"]);
    let nothing = jitsi.succeed(&["setup", "repair"]);
    assert_eq!((nothing.writes(), &nothing.document()["result"]["deleted"]), (vec![], &0.into()));
    let before = inventory::take(&sdk).await;
    let made = make_twins(&jitsi, &sdk).await;

    let plan = jitsi.run(&["plan"]);
    assert_eq!(plan.code, 1, "{}", plan.stderr);
    assert!(plan.stdout.contains("there are two: vpc-"), "{}", plan.stdout);
    let refused = jitsi.run(&["setup", "all"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("jitsi-aws setup repair"), "{}", refused.stderr);

    let asked = jitsi.run(&["setup", "repair"]);
    assert_eq!(asked.code, 1, "nobody is there to ask: {}", asked.stderr);
    assert!(asked.stderr.contains("stays, used by"), "{}", asked.stderr);
    assert!(asked.stderr.contains("is deleted: nothing uses it"), "{}", asked.stderr);

    let repaired = jitsi.succeed(&["setup", "repair"]).document();
    assert_eq!(repaired["result"]["deleted"], made, "{repaired}");
    let twins = repaired["result"]["twins"].as_array().unwrap();
    let used = |twin: &&Value| twin["stays"] == false && twin["used_by"] != Value::Null;
    assert_eq!(twins.iter().find(used), None);
    inventory::assert_same(&inventory::take(&sdk).await, &before, "as before the twins");
    assert_eq!(jitsi.run(&["plan"]).code, 0);
    assert_eq!(jitsi.succeed(&["setup", "all"]).writes(), []);
}
