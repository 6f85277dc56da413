//! The bounds, the hand and the sweep, on entries of real files.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::Options;

struct Files {
    folder: TempDir,
    options: Options,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), options: Options::default() }
    }

    async fn entry(&self, name: &str, length: usize) -> (Name, Arc<Entry>) {
        fs::write(self.folder.path().join(name), vec![b'x'; length]).unwrap();
        let root = self.options.open(self.folder.path()).unwrap();
        let name = Name::root().child(name.as_bytes());
        let opened = root.open(&name).await.unwrap();
        let entry = Entry::read(&name, opened, &self.options, None).await.unwrap();
        (name, Arc::new(entry))
    }
}

impl Cache {
    fn names(&self) -> Vec<String> {
        let slots = self.slots.read().unwrap();
        let bytes: usize = slots.by_name.values().map(|slot| slot.entry.cost()).sum();
        assert_eq!(bytes, slots.bytes, "the bytes are counted wrongly");
        assert_eq!(slots.ring.len(), slots.by_name.len());
        let mut names: Vec<String> = slots
            .by_name
            .keys()
            .map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned())
            .collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn there_are_never_more_entries_than_allowed() {
    let files = Files::new();
    let cache = Arc::new(Cache::new(3, usize::MAX));
    for i in 0..10 {
        let (name, entry) = files.entry(&i.to_string(), 1).await;
        cache.insert(&name, entry);
    }
    assert_eq!(cache.names(), ["7", "8", "9"]);
}

#[tokio::test]
async fn there_are_never_more_bytes_than_allowed() {
    let files = Files::new();
    let (first, entry) = files.entry("first", 5000).await;
    let cache = Arc::new(Cache::new(100, 2 * entry.cost()));
    cache.insert(&first, entry);
    for name in ["second", "third"] {
        let (name, entry) = files.entry(name, 5000).await;
        cache.insert(&name, entry);
    }
    assert_eq!(cache.names(), ["second", "third"]);
    let (huge, entry) = files.entry("second", 16_000).await;
    cache.insert(&huge, entry);
    assert_eq!(cache.names(), ["third"], "what is too large stays out, and so does what it was");
}

#[tokio::test]
async fn what_is_used_stays_when_the_hand_passes() {
    let files = Files::new();
    let cache = Arc::new(Cache::new(2, usize::MAX));
    for name in ["a", "b", "c"] {
        let (name, entry) = files.entry(name, 1).await;
        cache.insert(&name, entry);
        assert!(cache.get(&Name::root().child(b"a")).is_some());
    }
    assert_eq!(cache.names(), ["a", "c"]);
}

#[tokio::test]
async fn replaced_and_removed_entries_are_counted_once() {
    let files = Files::new();
    let cache = Arc::new(Cache::new(10, usize::MAX));
    for length in [10, 2000, 30_000, 5] {
        let (name, entry) = files.entry("a", length).await;
        cache.insert(&name, entry);
        assert_eq!(cache.names(), ["a"]);
    }
    cache.remove(&Name::root().child(b"a"));
    assert!(cache.names().is_empty());
    let (name, entry) = files.entry("b", 5).await;
    cache.insert(&name, entry);
    cache.clear();
    assert!(cache.names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_is_closed_after_a_while() {
    let files = Files::new();
    let cache = Arc::new(Cache::new(10, usize::MAX));
    for round in 0..2 {
        let (name, entry) = files.entry("a", 100_000).await;
        let open = Arc::downgrade(&entry);
        cache.insert(&name, entry);
        for _ in 0..3 {
            assert!(cache.get(&name).is_some(), "round {round}: it was used");
            tokio::time::sleep(PERIOD).await;
        }
        tokio::time::sleep(2 * PERIOD + Duration::from_secs(1)).await;
        assert!(cache.names().is_empty(), "round {round}");
        assert!(open.upgrade().is_none(), "round {round}: the file is still open");
    }
}

#[test]
fn another_runtime_sweeps_when_the_first_has_ended() {
    let files = Files::new();
    let cache = Arc::new(Cache::new(10, usize::MAX));
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let insert = || async {
        let (name, entry) = files.entry("a", 1).await;
        cache.insert(&name, entry);
    };
    let first = runtime();
    first.block_on(insert());
    assert!(cache.slots.read().unwrap().swept);
    drop(first);
    assert!(!cache.slots.read().unwrap().swept, "nobody would ever sweep again");
    runtime().block_on(async {
        insert().await;
        assert!(cache.slots.read().unwrap().swept);
    });
}
