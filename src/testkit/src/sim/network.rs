//! The network: what becomes of a message between two ends.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dice::Dice;
use super::plan::Weather;

/// One end of a link: a node or a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// A node.
    Node(usize),
    /// A client.
    Client(usize),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Node(node) => f.pad(&format!("node-{node}")),
            Self::Client(client) => f.pad(&format!("client-{client}")),
        }
    }
}

/// The links between all ends. Each direction is one of its own, so partitions may be of one way, and who reaches whom
/// need not be transitive.
pub(super) struct Network {
    weather: Weather,
    dice: Dice,
    /// Links that are cut.
    cut: BTreeMap<(End, End), ()>,
}

/// The delays after which the copies of a message arrive.
pub(super) type Arrivals = [Option<Duration>; 2];

impl Network {
    /// A network at its best.
    pub(super) const fn new(dice: Dice) -> Self {
        Self { weather: Weather::calm(), dice, cut: BTreeMap::new() }
    }

    /// From now on the network is like this.
    pub(super) fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Cuts a link in one direction.
    pub(super) fn cut(&mut self, from: End, to: End) {
        self.cut.insert((from, to), ());
    }

    /// Mends all links that this is true of.
    pub(super) fn mend(&mut self, which: impl Fn(End, End) -> bool) {
        self.cut.retain(|(from, to), ()| !which(*from, *to));
    }

    /// From now on nothing is lost, doubled or late.
    pub(super) fn calm(&mut self) {
        self.weather = Weather::calm();
        self.cut.clear();
    }

    pub(super) fn is_cut(&self, from: End, to: End) -> bool {
        !self.cut.is_empty() && self.cut.contains_key(&(from, to))
    }

    /// Sends a message.
    pub(super) fn send(&mut self, from: End, to: End) -> Arrivals {
        // A client's connection repairs itself; it breaks when that takes too long.
        let is_repaired = matches!((from, to), (End::Client(_), _) | (_, End::Client(_)));
        let loss_ppm = self.weather.loss_ppm / if is_repaired { 10 } else { 1 };
        if self.is_cut(from, to) || self.dice.chance(loss_ppm) {
            return [None, None];
        }
        let again = self.dice.chance(self.weather.duplication_ppm);
        let first = self.delay();
        let again = again.then(|| self.delay() + self.dice.ms(0, 50));
        [Some(first), again]
    }

    /// How long one copy of a message takes.
    pub(super) fn delay(&mut self) -> Duration {
        let Weather { delay_us, late_ppm, late_ms, .. } = self.weather;
        let usual = Duration::from_micros(self.dice.between(delay_us.0, delay_us.1));
        if self.dice.chance(late_ppm) { usual + self.dice.ms(1, late_ms) } else { usual }
    }
}
