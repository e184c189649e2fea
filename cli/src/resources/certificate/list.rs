//! Looking through ACM: which certificates are ours, and what one is like.

use anyhow::Result;
use aws_sdk_acm::{
    operation::list_tags_for_certificate::ListTagsForCertificateOutput,
    types::{CertificateDetail, CertificateSummary, CertificateType, Filters, KeyAlgorithm},
};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    aws::Answer,
    cx::Cx,
    tags::{self, Owner},
};

pub(super) const NOT_FOUND: [&str; 1] = ["ResourceNotFoundException"];

// ACM allows 10 ListTagsForCertificate a second (ACM quotas).
const AT_ONCE: usize = 5;

/// All certificates that carry our owner tag: they have no names, so only the tag tells.
pub(super) async fn ours(cx: &Cx) -> Result<Vec<CertificateSummary>> {
    let tagged = stream::iter(all(cx).await?).map(|summary| async {
        let arn = summary.certificate_arn().unwrap_or_default();
        let ours = owner(cx, arn).await? == Owner::Ours;
        anyhow::Ok(ours.then_some(summary))
    });
    let tagged: Vec<_> = tagged.buffered(AT_ONCE).try_collect().await?;
    Ok(tagged.into_iter().flatten().collect())
}

/// All certificates of the region that can be ours. Unless every key type is asked for, only RSA
/// keys of up to 2,048 bits are listed (`ListCertificates`).
pub(super) async fn all(cx: &Cx) -> Result<Vec<CertificateSummary>> {
    let key_types = KeyAlgorithm::values().iter().map(|name| KeyAlgorithm::from(*name));
    let mut pages = cx
        .aws
        .acm
        .list_certificates()
        .includes(Filters::builder().set_key_types(Some(key_types.collect())).build())
        .into_paginator()
        .items()
        .send();
    let mut all = Vec::new();
    while let Some(summary) = pages.next().await {
        let summary = summary.doing("listing certificates")?;
        if summary.r#type() != Some(&CertificateType::Private) {
            all.push(summary);
        }
    }
    Ok(all)
}

/// All about a certificate, if there is one.
pub(super) async fn describe(cx: &Cx, arn: &str) -> Result<Option<CertificateDetail>> {
    let answer = cx
        .aws
        .acm
        .describe_certificate()
        .certificate_arn(arn)
        .send()
        .await
        .unless(&NOT_FOUND, format!("looking at certificate {arn}"))?;
    Ok(answer.and_then(|answer| answer.certificate))
}

async fn owner(cx: &Cx, arn: &str) -> Result<Owner> {
    let answer = cx
        .aws
        .acm
        .list_tags_for_certificate()
        .certificate_arn(arn)
        .send()
        .await
        // It may have been deleted since it was listed.
        .unless(&NOT_FOUND, format!("reading the tags of certificate {arn}"))?;
    let tags = answer.iter().flat_map(ListTagsForCertificateOutput::tags);
    Ok(tags::owner(&cx.names, tags.map(|tag| (tag.key(), tag.value().unwrap_or_default()))))
}
