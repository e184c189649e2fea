//! The deployer's facts about partitions are the SDKs' own.

use std::{collections::BTreeSet, fs};

use jitsi_aws::partition::{PARTITIONS, Partition};
use jitsi_aws_tests::emulator::binaries;
use serde_json::Value;

#[test]
fn partitions_are_those_of_the_sdks() {
    let libraries = binaries().with_file_name("venv").join("lib");
    let python = fs::read_dir(libraries).unwrap().next().unwrap().unwrap().path();
    let text =
        fs::read_to_string(python.join("site-packages/botocore/data/partitions.json")).unwrap();
    let sdk: Value = serde_json::from_str(&text).unwrap();
    let all = sdk["partitions"].as_array().unwrap();
    let ids: BTreeSet<_> = all.iter().filter_map(|each| each["id"].as_str()).collect();
    assert_eq!(PARTITIONS.iter().map(|each| each.id).collect::<BTreeSet<_>>(), ids);
    for each in all {
        let known = PARTITIONS.iter().find(|known| each["id"] == known.id).unwrap();
        assert_eq!(each["outputs"]["dnsSuffix"], known.dns_suffix, "{}", known.id);
        let regions: BTreeSet<_> = each["regions"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .filter(|name| !name.ends_with("-global"))
            .collect();
        assert_eq!(known.regions.iter().copied().collect::<BTreeSet<_>>(), regions, "{}", known.id);
        // `^(us|eu|…)\-\w+\-\d+$`, `^us\-gov\-\w+\-\d+$`, `^eusc\-(de)\-\w+\-\d+$`
        let expression = each["regionRegex"].as_str().unwrap().replace('\\', "");
        let start =
            expression.strip_prefix('^').and_then(|rest| rest.strip_suffix("-w+-d+$")).unwrap();
        let (before, group) = start.split_once('(').unwrap_or((start, ")"));
        let prefixes: BTreeSet<_> =
            group.trim_end_matches(')').split('|').map(|one| format!("{before}{one}")).collect();
        assert_eq!(
            known.prefixes.iter().map(ToString::to_string).collect::<BTreeSet<_>>(),
            prefixes
        );
        for region in regions {
            assert_eq!(Partition::of(region), Some(known), "{region}");
        }
    }
}
