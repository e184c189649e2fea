//! Where the lease is: one object in a bucket of its own. S3 reads what was last written, and writes or
//! deletes only if the object is still what the caller read (S3 user guide, "Amazon S3 data consistency
//! model", "How to prevent object overwrites with conditional writes", "How to perform conditional
//! deletes").

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result};
use aws_sdk_s3::{Client, primitives::ByteStream};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeDeserializationInterceptorContextRef},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{DateTime, config_bag::ConfigBag, date_time::Format};

use super::record::Record;
use crate::{
    aws::{Answer, Aws, AwsError},
    error::{ANOTHER_NAME, Hinted},
    names::Names,
    shared::lock,
    tags::Foreign,
};

/// The object's key.
pub const KEY: &str = "lease";
// A lease is a few hundred bytes; what is longer is none.
const LONGEST: i64 = 8 * 1024;
// The object is not what was asked for: changed, gone, or being written at this moment.
const CHANGED: [&str; 4] =
    ["PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "OperationAborted"];

/// The lease's object.
#[derive(Clone, Debug)]
pub(super) struct Store {
    s3: Client,
    clock: Clock,
    bucket: String,
    account: String,
}

/// What was read.
#[derive(Debug)]
pub(super) enum Seen {
    /// There is no bucket yet.
    Nowhere,
    /// There is no lease; AWS's time, RFC 3339.
    Free(String),
    /// There is one.
    Held(Held),
}

/// A lease somebody has, or had.
#[derive(Clone, Debug)]
pub struct Held {
    /// What it says; `None` when it cannot be read.
    pub record: Option<Record>,
    /// How long ago it was last renewed, both by AWS's clock.
    pub age: Duration,
    /// When it was read, by AWS's clock, RFC 3339.
    pub(super) read_at: String,
    /// Changes with every renewal.
    pub(super) etag: String,
}

impl Held {
    /// Whether somebody else may take it.
    pub fn is_over(&self) -> bool {
        // Both times are whole seconds, of two of S3's machines.
        const SLACK: Duration = Duration::from_secs(2);
        self.age >= self.life() + SLACK
    }

    /// How long it holds after its last renewal.
    pub(super) fn life(&self) -> Duration {
        self.record.as_ref().map_or(super::LIFE, Record::life)
    }

    /// Whether it was written by the run that wrote `record`.
    pub(super) fn is_of(&self, record: &Record) -> bool {
        self.record.as_ref().is_some_and(|own| own.run == record.run)
    }

    /// Who ended it by hand, if anybody did.
    pub(super) fn ended_by(&self) -> Option<&str> {
        self.record.as_ref()?.ended_by.as_deref()
    }

    /// Who has it, in words.
    pub fn told(&self) -> String {
        match &self.record {
            Some(record) => record.told(),
            None => "somebody, with another version of jitsi-aws".to_owned(),
        }
    }
}

impl Store {
    pub(super) fn new(aws: &Aws, names: &Names) -> Self {
        let clock = Clock::default();
        let s3 = aws.for_lease(clock.clone());
        Self { s3, clock, bucket: names.lease_bucket(), account: names.account().to_owned() }
    }

    pub(super) async fn read(&self) -> Result<Seen> {
        let call = self.s3.get_object().bucket(&self.bucket).key(KEY);
        let answer = call.expected_bucket_owner(&self.account).send().await;
        let object = match answer.doing(format!("reading the lease in `{}`", self.bucket)) {
            Ok(object) => object,
            Err(error) if error.is(&["NoSuchBucket"]) => return Ok(Seen::Nowhere),
            Err(error) if error.is(&["NoSuchKey"]) => {
                let now = self.clock.now()?.fmt(Format::DateTime)?;
                return Ok(Seen::Free(now));
            }
            Err(error) if error.is_of_another_account() => {
                let what = format!("bucket `{}`: {}", self.bucket, Foreign::OfAnotherAccount);
                return Err(anyhow::Error::from(error).context(Hinted::user(what, ANOTHER_NAME)));
            }
            Err(error) => return Err(error.into()),
        };
        let written = object.last_modified.context("S3 did not say when the lease was written")?;
        let now = self.clock.now()?;
        let age = now.secs().saturating_sub(written.secs()).try_into().unwrap_or(0);
        let etag = object.e_tag.clone().context("S3 named no ETag of the lease")?;
        let record = match object.content_length {
            Some(0..=LONGEST) => {
                let body = object.body.collect().await.context("reading the lease")?;
                serde_json::from_slice(&body.into_bytes()).ok()
            }
            _ => None,
        };
        let read_at = now.fmt(Format::DateTime)?;
        Ok(Seen::Held(Held { record, age: Duration::from_secs(age), read_at, etag }))
    }

    /// Writes it where there is none; its `ETag`, or `None` when there is one after all.
    pub(super) async fn create(&self, record: &Record) -> Result<Option<String>> {
        self.put(record, None).await
    }

    /// Writes it in place of what has this `ETag`; `None` when that is no longer there.
    pub(super) async fn replace(&self, record: &Record, etag: &str) -> Result<Option<String>> {
        self.put(record, Some(etag)).await
    }

    async fn put(&self, record: &Record, etag: Option<&str>) -> Result<Option<String>> {
        let call = self.s3.put_object().bucket(&self.bucket).key(KEY);
        let call = call.expected_bucket_owner(&self.account).content_type("application/json");
        let call = call.body(ByteStream::from(serde_json::to_vec(record)?));
        let call = match etag {
            None => call.if_none_match("*"),
            Some(etag) => call.if_match(etag),
        };
        let doing = format!("writing the lease in `{}`", self.bucket);
        let answer = call.send().await.unless(&CHANGED, doing)?;
        answer.map(|answer| answer.e_tag.context("S3 named no ETag of the lease")).transpose()
    }

    /// Deletes what has this `ETag`; `false` when that is no longer there.
    pub(super) async fn remove(&self, etag: &str) -> Result<bool, AwsError> {
        let call = self.s3.delete_object().bucket(&self.bucket).key(KEY);
        let call = call.expected_bucket_owner(&self.account).if_match(etag);
        let doing = format!("giving back the lease in `{}`", self.bucket);
        Ok(call.send().await.unless(&CHANGED, doing)?.is_some())
    }
}

/// AWS's clock: the `Date` of its last answer.
#[derive(Clone, Debug, Default)]
struct Clock(Arc<Mutex<Option<DateTime>>>);

impl Clock {
    fn now(&self) -> Result<DateTime> {
        let now = *lock(&self.0);
        now.context("S3's answer has no date")
    }
}

impl Intercept for Clock {
    fn name(&self) -> &'static str {
        "Clock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        *lock(&self.0) = date;
        Ok(())
    }
}
