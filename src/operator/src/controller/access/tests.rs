//! Reviews that are a table, and callers who come again and again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const ALICE: &str = "system:serviceaccount:shop:alice";

/// Who has which token, who may do what, and what was asked.
#[derive(Default)]
struct Table {
    is_away: AtomicBool,
    users: Mutex<BTreeMap<String, String>>,
    rights: Mutex<Vec<(String, Right)>>,
    asked: Mutex<Vec<String>>,
}

impl Table {
    fn asked(&self) -> usize {
        std::mem::take(&mut *self.asked.lock().unwrap()).len()
    }

    fn note(&self, question: String) -> Result<(), Error> {
        self.asked.lock().unwrap().push(question);
        match self.is_away.load(Ordering::Relaxed) {
            true => Err(Error::new(ErrorCode::Unavailable, "away")),
            false => Ok(()),
        }
    }
}

#[tonic::async_trait]
impl Reviews for Arc<Table> {
    async fn identify(&self, token: &str) -> Result<Option<User>, Error> {
        self.note(token.to_owned())?;
        let name = self.users.lock().unwrap().get(token).cloned();
        Ok(name.map(|name| User { name, ..User::default() }))
    }

    async fn allows(&self, user: &User, right: &Right) -> Result<bool, Error> {
        self.note(format!("{} {right:?}", user.name))?;
        Ok(self.rights.lock().unwrap().contains(&(user.name.clone(), right.clone())))
    }
}

fn reading(namespace: &str) -> Right {
    Right::new(Verb::Get, Resource::PartitionGroups, namespace)
}

fn says(header: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", header.parse().unwrap());
    metadata
}

fn set_up() -> (Arc<Table>, Access) {
    let table = Arc::new(Table::default());
    table.users.lock().unwrap().insert("token".into(), ALICE.into());
    table.rights.lock().unwrap().push((ALICE.into(), reading("shop")));
    (table.clone(), Access::reviewed(table))
}

async fn may(access: &Access, header: &str, right: &Right) -> Result<(), ErrorCode> {
    let caller = access.identify(&says(header)).await.map_err(|error| error.code())?;
    caller.check(right).await.map_err(|error| error.code())
}

#[tokio::test(start_paused = true)]
async fn only_a_yes_lets_anybody_in() {
    let (table, access) = set_up();
    let cases = [
        ("Bearer token", "shop", Ok(())),
        ("bearer token", "shop", Ok(())),
        ("Bearer token", "bank", Err(ErrorCode::Forbidden)),
        ("Bearer token", "", Err(ErrorCode::Forbidden)),
        ("Bearer other", "shop", Err(ErrorCode::Unauthenticated)),
        ("Bearer", "shop", Err(ErrorCode::Unauthenticated)),
        ("Bearer ", "shop", Err(ErrorCode::Unauthenticated)),
        ("Basic token", "shop", Err(ErrorCode::Unauthenticated)),
        ("token", "shop", Err(ErrorCode::Unauthenticated)),
    ];
    for (header, namespace, expected) in cases {
        assert_eq!(may(&access, header, &reading(namespace)).await, expected, "{header} {namespace}");
    }
    let nobody = access.identify(&MetadataMap::new()).await.err().unwrap();
    assert_eq!(nobody.code(), ErrorCode::Unauthenticated);
    table.is_away.store(true, Ordering::Relaxed);
    let other = reading("elsewhere");
    assert_eq!(
        may(&access, "Bearer token", &other).await,
        Err(ErrorCode::Unavailable),
        "nor while nobody knows"
    );
    assert_eq!(may(&access, "Bearer new", &other).await, Err(ErrorCode::Unavailable));
    let everybody = Access::open().identify(&MetadataMap::new()).await.unwrap();
    everybody.check(&reading("")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_yes_is_remembered_for_half_a_minute_and_a_no_for_seconds() {
    let (table, access) = set_up();
    for _ in 0..3 {
        may(&access, "Bearer token", &reading("shop")).await.unwrap();
        may(&access, "Bearer token", &reading("bank")).await.unwrap_err();
        may(&access, "Bearer other", &reading("shop")).await.unwrap_err();
    }
    assert_eq!(table.asked(), 4, "two tokens, two rights");
    table.rights.lock().unwrap().push((ALICE.into(), reading("bank")));
    tokio::time::advance(NO).await;
    may(&access, "Bearer token", &reading("bank")).await.unwrap();
    table.users.lock().unwrap().clear();
    table.rights.lock().unwrap().clear();
    may(&access, "Bearer token", &reading("shop")).await.unwrap();
    assert_eq!(table.asked(), 1);
    tokio::time::advance(YES).await;
    let refused = may(&access, "Bearer token", &reading("shop")).await;
    assert_eq!(refused, Err(ErrorCode::Unauthenticated));
    assert!(YES <= Duration::from_secs(60), "what is withdrawn is gone within a minute");
}

/// Whether a watch goes on for five minutes.
async fn goes_on(watch: &mut (impl Future<Output = ()> + Unpin)) -> bool {
    tokio::time::timeout(Duration::from_secs(300), watch).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_the_right_or_the_token_is_gone_and_not_while_nobody_knows() {
    let (table, access) = set_up();
    let watcher = async || access.identify(&says("Bearer token")).await.unwrap();
    let mut first = Box::pin(watcher().await.until_refused(reading("shop")));
    assert!(goes_on(&mut first).await);
    table.is_away.store(true, Ordering::Relaxed);
    assert!(goes_on(&mut first).await);
    table.is_away.store(false, Ordering::Relaxed);
    assert!(goes_on(&mut first).await);
    let taken = std::mem::take(&mut *table.rights.lock().unwrap());
    assert!(!goes_on(&mut first).await);

    *table.rights.lock().unwrap() = taken;
    let mut second = Box::pin(watcher().await.until_refused(reading("shop")));
    assert!(goes_on(&mut second).await);
    table.users.lock().unwrap().clear();
    assert!(!goes_on(&mut second).await);
    let everybody = Access::open().identify(&MetadataMap::new()).await.unwrap();
    assert!(goes_on(&mut Box::pin(everybody.until_refused(reading("")))).await);
}

#[test]
fn a_refusal_says_who_lacks_what_and_how_it_is_given() {
    let right = Right::new(Verb::Create, Resource::Primitives, "shop");
    let cases = [
        (
            reading("shop").named("orders").refusal(ALICE),
            "\"system:serviceaccount:shop:alice\" may not get partitiongroups.synod.dev \"orders\" in namespace \"shop\": let \
             an administrator run `kubectl --namespace shop create rolebinding synod-client-alice \
             --clusterrole=synod-client --serviceaccount=shop:alice`",
        ),
        (
            right.refusal("bob@example.org"),
            "\"bob@example.org\" may not create primitives.synod.dev in namespace \"shop\": let an administrator run \
             `kubectl --namespace shop create rolebinding synod-editor-USER --clusterrole=synod-editor \
             --user=\"bob@example.org\"`",
        ),
        (
            Right::new(Verb::List, Resource::PartitionGroups, "").refusal(ALICE),
            "\"system:serviceaccount:shop:alice\" may not list partitiongroups.synod.dev in all namespaces: name one in which \
             he may, or let an administrator run `kubectl create clusterrolebinding synod-client-alice \
             --clusterrole=synod-client --serviceaccount=shop:alice`",
        ),
    ];
    for (said, expected) in cases {
        assert_eq!(said, expected);
    }
}
