//! Networks that fail: nodes that are cut off, wholly, in one direction, or from some; packets that are lost or late.

use std::time::{Duration, Instant};

use synod_testkit::sim::Dice;
use synod_tests::running::{Wire, Wires};

use crate::agreement::Agreement;
use crate::holders::Holders;
use crate::judge::judge;
use crate::load::Load;
use crate::pause::duration;
use crate::site::{CLIENTS, NODES, Options, on_site};
use crate::view::PARTITIONS;
use crate::watchers::Watchers;

const PROGRESS: u64 = 20;

/// How long a group stays as it is that cannot go on.
const STANDSTILL: Duration = Duration::from_secs(3);

/// What can become of the network around one node.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// Nobody reaches it, and it reaches nobody.
    Alone,
    /// The other nodes do not hear it; it hears them, and clients reach it.
    Mute,
    /// It does not hear the other nodes; they hear it, and clients reach it.
    Deaf,
    /// It and another one do not reach each other; the third reaches both.
    Bridge,
    /// Clients reach the other nodes only. What it leads stands still: nobody else may speak for it.
    NoClients,
    /// Much of what it sends and is sent is lost.
    Lossy,
    /// All that it sends and is sent is late, by more or less.
    Slow,
    /// All wires are bad.
    Storm,
}

const TROUBLES: [Trouble; 8] = [
    Trouble::Alone,
    Trouble::Mute,
    Trouble::Deaf,
    Trouble::Bridge,
    Trouble::NoClients,
    Trouble::Lossy,
    Trouble::Slow,
    Trouble::Storm,
];

impl Trouble {
    fn strike(self, wires: &Wires, node: usize) {
        let others = (0..NODES).filter(|other| *other != node);
        match self {
            Self::Alone => others.chain([CLIENTS]).for_each(|other| wires.set_both(node, other, Wire::CUT)),
            Self::Mute => others.for_each(|other| wires.set(node, other, Wire::CUT)),
            Self::Deaf => others.for_each(|other| wires.set(other, node, Wire::CUT)),
            Self::Bridge => wires.set_both(node, (node + 1) % NODES, Wire::CUT),
            Self::NoClients => wires.set_both(node, CLIENTS, Wire::CUT),
            Self::Lossy => {
                let wire = Wire { loss_ppm: 200_000, ..Wire::default() };
                others.chain([CLIENTS]).for_each(|other| wires.set_both(node, other, wire));
            }
            Self::Slow => {
                let wire = Wire { delay_ms: (5, 80), ..Wire::default() };
                others.chain([CLIENTS]).for_each(|other| wires.set_both(node, other, wire));
            }
            Self::Storm => {
                wires.set_all(Wire { is_cut: false, loss_ppm: 20_000, delay_ms: (1, 20) });
            }
        }
    }
}

#[test]
fn f16_nothing_acknowledged_is_lost_whatever_the_network_does() {
    on_site(Options::default(), async |site| {
        let begun = Instant::now();
        let watchers = Watchers::start(&site.view).await;
        let load = Load::start(&site.view, 1).await;
        let holders = Holders::start(&site.view, &load.record).await;
        let agreement = Agreement::start(&site.view);
        load.record.progress(PROGRESS).await;

        let mut dice = Dice::new(1);
        let mut struck = 0;
        while struck < TROUBLES.len() || begun.elapsed() < duration() {
            let trouble = TROUBLES[struck % TROUBLES.len()];
            let node = site.leader(dice.below(PARTITIONS as u64) as u32).await;
            let since = Instant::now();
            trouble.strike(&site.wires, node);
            match trouble {
                Trouble::NoClients => tokio::time::sleep(STANDSTILL).await,
                _ => load.record.progress(PROGRESS).await,
            }
            println!("{trouble:?} around node {node}: {:?}", since.elapsed());
            site.wires.set_all(Wire::default());
            load.record.progress(PROGRESS).await;
            site.view.is_whole().await;
            struck += 1;
        }

        let grants = holders.judge().await;
        let record = load.record.clone();
        let last = load.finish().await;
        let acknowledged = judge(&record.history());
        println!("{} writes of the map acknowledged, {grants} grants", acknowledged.versions.len());
        watchers.judge(&last, &acknowledged).await;
        agreement.judge(&site.view).await;
    });
}
