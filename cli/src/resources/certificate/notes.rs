//! In which hosted zones the validation record of a certificate was published. Whoever configures another zone no longer
//! names the old one, so each is noted in a tag of the certificate before the record is made.

use anyhow::Result;
use aws_sdk_acm::types::Tag;

use super::list::NOT_FOUND;
use crate::{aws::Answer, cx::Cx, tags::DEPLOYMENT};

/// Before the zone's id, in the key of a tag.
const NOTE: &str = "jitsi-aws:validation/";
/// What the record is, for whoever reads the tags.
const RECORD: &str = "CNAME";

/// The key of a zone's note.
pub(super) fn key(zone: &str) -> String {
    format!("{NOTE}{zone}")
}

/// Ids of the zones noted at a certificate.
pub(super) async fn zones(cx: &Cx, arn: &str) -> Result<Vec<String>> {
    let answer = cx.aws.acm.list_tags_for_certificate().certificate_arn(arn).send().await;
    let answer = answer.unless(&NOT_FOUND, format!("reading the notes of certificate {arn}"))?;
    let tags = answer.and_then(|answer| answer.tags).unwrap_or_default();
    Ok(tags.iter().filter_map(|tag| tag.key().strip_prefix(NOTE).map(str::to_owned)).collect())
}

/// Notes a zone. The owner tag goes with it: the deployer may only set tags together with that one.
pub(super) async fn note(cx: &Cx, arn: &str, zone: &str) -> Result<()> {
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let tags = [tag(DEPLOYMENT, cx.names.deployment())?, tag(&key(zone), RECORD)?];
    let call = cx.aws.acm.add_tags_to_certificate().certificate_arn(arn);
    let answer = call.set_tags(Some(tags.into())).send().await;
    answer.doing(format!("noting hosted zone {zone} at certificate {arn}"))?;
    Ok(())
}
