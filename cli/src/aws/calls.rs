//! The log of every attempt of every call, for `-v`, for the summary and for tests.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef},
        },
        orchestrator::Metadata,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::{ConfigBag, Layer, Storable, StoreReplace};

use crate::shared::lock;

/// One attempt of one call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Service as the SDK names it, `EC2`.
    pub service: String,
    /// Operation, `CreateVpc`.
    pub operation: String,
    /// HTTP status; `None` when no answer came.
    pub status: Option<u16>,
    /// When the attempt was sent, from the start of the log.
    pub sent: Duration,
    /// From sending to answer.
    pub took: Duration,
    /// What it is for, where that is not a resource: `lease`.
    pub purpose: Option<&'static str>,
}

impl Call {
    /// Whether the call can change anything.
    pub fn is_write(&self) -> bool {
        is_write(&self.operation)
    }
}

/// Whether an operation can change anything.
pub(super) fn is_write(operation: &str) -> bool {
    const READS: [&str; 6] = ["Describe", "Get", "List", "Head", "Lookup", "Search"];
    !READS.iter().any(|verb| operation.starts_with(verb))
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.map_or("no answer".to_owned(), |s| s.to_string());
        write!(f, "{} {} {status} {} ms", self.service, self.operation, self.took.as_millis())?;
        self.purpose.map_or(Ok(()), |purpose| write!(f, "  {purpose}"))
    }
}

type Tell = Arc<dyn Fn(&Call) + Send + Sync>;

/// Collects calls; cheap to clone, all clones share one log.
#[derive(Clone)]
pub struct Calls {
    start: Instant,
    log: Arc<Mutex<Vec<Call>>>,
    tell: Option<Tell>,
    purpose: Option<&'static str>,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self { start: Instant::now(), log: Arc::default(), tell: None, purpose: None }
    }
}

impl Calls {
    /// A log that also tells `listener` of each call as it ends.
    pub fn telling(listener: impl Fn(&Call) + Send + Sync + 'static) -> Self {
        Self { tell: Some(Arc::new(listener)), ..Self::default() }
    }

    /// The same log, for calls that are made for this.
    #[must_use]
    pub fn made_for(&self, purpose: &'static str) -> Self {
        Self { purpose: Some(purpose), ..self.clone() }
    }

    /// All calls so far, in the order they ended.
    pub fn all(&self) -> Vec<Call> {
        lock(&self.log).clone()
    }

    fn push(&self, call: Call) {
        if let Some(tell) = &self.tell {
            tell(&call);
        }
        lock(&self.log).push(call);
    }
}

#[derive(Debug)]
struct Sent(Instant);

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "Calls"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut layer = Layer::new("Calls");
        layer.store_put(Sent(Instant::now()));
        bag.push_layer(layer);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (Some(metadata), Some(Sent(at))) = (bag.load::<Metadata>(), bag.load::<Sent>()) else {
            return Ok(()); // never sent: no credentials, or refused before transmission
        };
        self.push(Call {
            service: metadata.service().to_owned(),
            operation: metadata.name().to_owned(),
            status: context.response().map(|response| response.status().as_u16()),
            sent: at.duration_since(self.start),
            took: at.elapsed(),
            purpose: self.purpose,
        });
        Ok(())
    }
}
