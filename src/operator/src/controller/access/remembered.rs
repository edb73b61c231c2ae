//! Answers that hold for a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A bounded number of answers, each until its time is over. When it is full, the one whose time is over first makes room.
pub(super) struct Remembered<K, V> {
    entries: Mutex<HashMap<K, (Instant, V)>>,
    entries_max: usize,
}

impl<K: Clone + Eq + Hash, V: Clone> Remembered<K, V> {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { entries: Mutex::default(), entries_max }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (end, value) = entries.get(key)?;
        (Instant::now() < *end).then(|| value.clone())
    }

    pub(super) fn put(&self, key: K, value: V, time: Duration) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if entries.len() >= self.entries_max && !entries.contains_key(&key) {
            entries.retain(|_, (end, _)| now < *end);
        }
        if entries.len() >= self.entries_max && !entries.contains_key(&key) {
            let first = entries.iter().min_by_key(|(_, (end, _))| *end).map(|(key, _)| key.clone());
            first.map(|first| entries.remove(&first));
        }
        entries.insert(key, (now + time, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_forgotten_when_its_time_is_over() {
        let remembered = Remembered::new(2);
        remembered.put("a", 1, Duration::from_secs(5));
        tokio::time::advance(Duration::from_millis(4_999)).await;
        assert_eq!(remembered.get(&"a"), Some(1));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(remembered.get(&"a"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_would_be_forgotten_first_makes_room() {
        let remembered = Remembered::new(3);
        for (key, seconds) in [("a", 30), ("b", 5), ("c", 30), ("d", 20)] {
            remembered.put(key, seconds, Duration::from_secs(seconds));
        }
        let known = ["a", "b", "c", "d"].map(|key| remembered.get(&key));
        assert_eq!(known, [Some(30), None, Some(30), Some(20)]);
        remembered.put("a", 1, Duration::from_secs(1));
        assert_eq!(remembered.get(&"c"), Some(30), "a newer answer to the same needs no room");
        tokio::time::advance(Duration::from_secs(1)).await;
        remembered.put("e", 9, Duration::from_secs(9));
        assert_eq!(
            remembered.entries.lock().unwrap().len(),
            3,
            "what is over makes room before anything that holds"
        );
    }
}
