//! The memory that one request holds: its body while that is gathered, and a large response until it is sent.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use uuid::Uuid;

use crate::budget::{MemoryBudget, Party, ReservedMemory};
use crate::cursor::PAGE_BYTES;
use crate::error::Result;

/// Bytes of a response that is sent without reserved memory.
const SMALL_RESPONSE: usize = 64 * 1024;

/// The memory that one request has reserved. It is an extension of the request.
#[derive(Debug, Clone)]
pub struct RequestMemory(Arc<Holder>);

#[derive(Debug)]
struct Holder {
    budget: Arc<MemoryBudget>,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    party: Party,
    reserved: Option<ReservedMemory>,
}

/// An extension of responses whose body has reserved memory.
#[derive(Debug, Clone, Copy)]
pub struct HoldsMemory;

impl RequestMemory {
    /// Of a request from this address, which has reserved nothing yet.
    pub fn new(budget: Arc<MemoryBudget>, address: Option<IpAddr>) -> Self {
        let party = Party::at(address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()));
        Self(Arc::new(Holder { budget, held: Mutex::new(Held { party, reserved: None }) }))
    }

    /// From now on the memory is a part of the share of this account.
    pub fn set_account(&self, account: Uuid) {
        self.lock().party = Party::Account(account);
    }

    /// Whether no account is known.
    pub fn is_anonymous(&self) -> bool {
        matches!(self.lock().party, Party::Address(_))
    }

    /// Reserves memory until the response begins, instead of what the request has: its body is decoded by then. Requests
    /// that held one reservation while they waited for another could wait for each other.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::error::Error::Unavailable) if none becomes free in time.
    pub async fn reserve(&self, bytes: usize) -> Result<()> {
        self.lock().reserved = None;
        let reserved = self.take(bytes).await?;
        self.lock().reserved = Some(reserved);
        Ok(())
    }

    /// Releases the reserved memory, while the request waits.
    pub fn release(&self) {
        self.lock().reserved = None;
    }

    /// Reserves memory that is released when it is dropped.
    ///
    /// # Errors
    /// Those of [`reserve`](Self::reserve).
    pub async fn take(&self, bytes: usize) -> Result<ReservedMemory> {
        let party = self.lock().party;
        self.0.budget.reserve(party, bytes).await
    }

    /// Reserves memory for a response of this number of items, each of which takes at most about `bytes`.
    ///
    /// # Errors
    /// Those of [`reserve`](Self::reserve).
    pub async fn reserve_items(&self, count: usize, bytes: usize) -> Result<()> {
        self.reserve(count.saturating_mul(bytes)).await
    }

    /// The response, which holds as much of the reserved memory as its body takes until it is sent.
    pub fn hold(&self, mut response: Response) -> Response {
        let Some(mut reserved) = self.lock().reserved.take() else { return response };
        // A compressed one has no size; what is compressed is a page at most.
        let size = response.body().size_hint().exact().map_or(PAGE_BYTES, |size| size as usize);
        if size <= SMALL_RESPONSE {
            return response;
        }
        response.extensions_mut().insert(HoldsMemory);
        reserved.shrink(size);
        response.map(|body| Body::new(Holding { body, _reserved: reserved }))
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body with its memory.
struct Holding {
    body: Body,
    _reserved: ReservedMemory,
}

impl http_body::Body for Holding {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
