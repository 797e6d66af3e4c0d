//! The way to a store's writer: a bounded queue of batches, each with somebody who waits for its receipt.

use std::sync::mpsc::{SyncSender, TrySendError};

use dnsvet_core::event::Batch;
use tokio::sync::oneshot;

use super::{Appended, Receipt, StoreError, Tenant};

/// A batch, whose it is, and where its receipt goes.
pub type Job = (Tenant, Batch, oneshot::Sender<Result<Appended, StoreError>>);

/// Hands a batch to the writer.
///
/// # Errors
/// If its queue is full, or there is no writer (any more).
pub fn hand_over(
    jobs: Option<&SyncSender<Job>>,
    tenant: Tenant,
    batch: Batch,
) -> Result<Receipt, StoreError> {
    let (done, receipt) = oneshot::channel();
    jobs.ok_or(StoreError::Closed)?.try_send((tenant, batch, done)).map_err(|refused| match refused {
        TrySendError::Full(_) => StoreError::Busy,
        TrySendError::Disconnected(_) => StoreError::Closed,
    })?;
    Ok(receipt)
}
