//! Clients that take locks from each other, and use what the locks protect for as long as they believe that they hold.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use synod_client::{Client, Group, HoldState};
use synod_testkit::oracle::fenced_register::{self, Access, FencedRegister};
use synod_testkit::oracle::lock::{self, Holding};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::record::Record;
use crate::view::View;

const LOCKS: usize = 3;
const HOLDERS_EACH: usize = 3;

/// How often a holder uses what the lock protects, and how long it pauses in between.
const USES: usize = 5;
const PAUSE: Duration = Duration::from_millis(5);

/// What happened to one lock.
#[derive(Default)]
struct Story {
    holdings: Mutex<Vec<Holding>>,
    /// What the lock protects, and who came to it in which order.
    register: Mutex<(FencedRegister, Vec<Access>)>,
}

/// The holders at work.
pub(crate) struct Holders {
    stop: Arc<AtomicBool>,
    stories: Vec<Arc<Story>>,
    holders: Vec<JoinHandle<()>>,
    clients: Vec<Client>,
}

impl Holders {
    pub(crate) async fn start(view: &View, record: &Arc<Record>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stories: Vec<Arc<Story>> = (0..LOCKS).map(|_| Arc::default()).collect();
        let (mut holders, mut clients) = (Vec::new(), Vec::new());
        for number in 0..LOCKS * HOLDERS_EACH {
            let (client, group) = view.client().await;
            clients.push(client);
            let holder = Holder {
                number: number as u64,
                lock: number % LOCKS,
                story: stories[number % LOCKS].clone(),
                record: record.clone(),
                stop: stop.clone(),
            };
            holders.push(tokio::spawn(holder.run(group)));
        }
        Self { stop, stories, holders, clients }
    }

    /// Lets every holder release what it holds, and judges what happened. Returns how often locks were granted.
    pub(crate) async fn judge(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        join_all(self.holders).await.into_iter().for_each(Result::unwrap);
        join_all(self.clients.iter().map(Client::close)).await;
        let grants = self.stories.iter().map(|story| {
            let holdings = story.holdings.lock().unwrap();
            assert_eq!(lock::violations(&holdings), [], "{holdings:#?}");
            let (_, accesses) = &*story.register.lock().unwrap();
            assert_eq!(fenced_register::violations(accesses), []);
            holdings.len()
        });
        grants.sum()
    }
}

struct Holder {
    number: u64,
    lock: usize,
    story: Arc<Story>,
    record: Arc<Record>,
    stop: Arc<AtomicBool>,
}

impl Holder {
    async fn run(self, group: Group) {
        let lock = group.lock(format!("lock-{}", self.lock));
        while !self.stop.load(Ordering::SeqCst) {
            let requested_at = self.record.now();
            // Whoever has waited in vain asks again.
            let Ok(guard) = lock.acquire().wait(Duration::from_secs(5)).await else { continue };
            let fence = guard.fence().get();
            let from = self.record.now();
            let mut until = from;
            for _ in 0..USES {
                let now = self.record.now();
                if guard.state() == HoldState::Lost {
                    break;
                }
                until = now;
                self.use_resource(fence);
                sleep(PAUSE).await;
            }
            let holding = Holding { holder: self.number, fence, reading: false, requested_at, from, until };
            self.story.holdings.lock().unwrap().push(holding);
            // One that was lost is not held any more.
            let _ = guard.release().await;
        }
    }

    fn use_resource(&self, fence: u64) {
        let (register, accesses) = &mut *self.story.register.lock().unwrap();
        let accepted = register.write(fence, self.number).is_ok();
        accesses.push(Access { holder: self.number, fence, accepted });
    }
}
