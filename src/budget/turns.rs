//! The turns of a few workers, which parties take one after another.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::Party;

/// A number of workers, and the parties that wait for them. Parties take turns: one
/// with many requests gets no more of them than one with a single request.
#[derive(Debug)]
pub struct Turns(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Queue {
    /// Workers without work.
    free: usize,
    /// The requests of each party that waits. The first party is the next.
    waiting: VecDeque<(Party, VecDeque<oneshot::Sender<Turn>>)>,
}

impl Turns {
    /// At least one worker.
    pub fn new(workers: usize) -> Self {
        Self(Arc::new(Mutex::new(Queue { free: workers.max(1), waiting: VecDeque::new() })))
    }

    /// Waits for a turn of this party.
    pub async fn take(&self, party: Party) -> Turn {
        let turn = {
            let mut queue = lock(&self.0);
            if queue.free > 0 {
                queue.free -= 1;
                return Turn(self.0.clone());
            }
            queue.enter(party)
        };
        turn.await.expect("only a party that has left the queue loses its sender")
    }
}

impl Queue {
    fn enter(&mut self, party: Party) -> oneshot::Receiver<Turn> {
        let (send, receive) = oneshot::channel();
        match self.waiting.iter_mut().find(|(known, _)| *known == party) {
            Some((_, requests)) => requests.push_back(send),
            None => self.waiting.push_back((party, VecDeque::from([send]))),
        }
        receive
    }

    /// The request whose turn it is. Without one, the worker is free.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        while let Some((party, mut requests)) = self.waiting.pop_front() {
            let next = requests.pop_front();
            if !requests.is_empty() {
                self.waiting.push_back((party, requests));
            }
            // Those that no longer wait are skipped.
            if let Some(next) = next.filter(|next| !next.is_closed()) {
                return Some(next);
            }
        }
        self.free += 1;
        None
    }
}

/// One turn, which ends when it is dropped.
#[derive(Debug)]
pub struct Turn(Arc<Mutex<Queue>>);

impl Drop for Turn {
    fn drop(&mut self) {
        let next = lock(&self.0).next();
        if let Some(next) = next {
            // If the request has just left, the new turn is dropped, and goes to the one after it.
            drop(next.send(Turn(self.0.clone())));
        }
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::future::{FutureExt, select_all};
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn parties_take_turns_whatever_the_number_of_their_requests() {
        let turns = Turns::new(1);
        let (greedy, modest) = (Party::Account(Uuid::nil()), Party::Account(Uuid::max()));
        let first = turns.take(greedy).await;
        let order = [greedy, greedy, greedy, modest, modest];
        let mut waiting: Vec<_> = order.map(|party| Box::pin(turns.take(party).map(move |turn| (turn, party)))).into();
        for request in &mut waiting {
            assert!(request.now_or_never().is_none());
        }
        // One that no longer waits is skipped.
        drop(waiting.remove(1));
        drop(first);
        let mut served = Vec::new();
        while !waiting.is_empty() {
            let ((turn, party), _, others) = select_all(waiting).await;
            served.push(party);
            drop(turn);
            waiting = others;
        }
        assert_eq!(served, [greedy, modest, modest, greedy]);
        let _turn = turns.take(modest).now_or_never().expect("the worker is free");
    }
}
