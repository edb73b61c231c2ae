//! The wires between machines: what becomes of a packet is decided here, for each direction between two of them.
//!
//! Every machine has one network device, whose other end is in this process. So packets are lost and late for the
//! kernels at both ends, and connections behave as they do on a bad network, whatever the kernel has in it.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use synod_testkit::sim::Dice;
use tokio::runtime::Runtime;
use tokio_tun::Tun;

use super::machine::Machine;

const PACKET_BYTES_MAX: usize = 2_048;

/// What one direction between two machines is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// Nothing arrives.
    pub is_cut: bool,
    /// Of a million packets so many are lost.
    pub loss_ppm: u32,
    /// So long a packet takes at least and at most: those that vary overtake each other.
    pub delay_ms: (u64, u64),
}

impl Wire {
    /// A wire that is cut.
    pub const CUT: Self = Self { is_cut: true, loss_ppm: 0, delay_ms: (0, 0) };
}

/// The network between machines.
#[derive(Debug)]
pub struct Wires {
    wires: Arc<Mutex<Vec<Vec<Wire>>>>,
    runtime: Option<Runtime>,
}

impl Wires {
    /// Connects machines, which have the addresses [`address`] gives to their numbers.
    ///
    /// # Panics
    /// When there are no network devices to be had; the message says what is missing.
    pub fn between(machines: &[Machine]) -> Self {
        let wires = Arc::new(Mutex::new(vec![vec![Wire::default(); machines.len()]; machines.len()]));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let device = |(number, machine): (usize, &Machine)| {
            // A thread that has been in the network of a machine does not come back.
            let plug = || {
                let _entered = runtime.enter();
                machine.join_network();
                plug(number)
            };
            std::thread::scope(|scope| scope.spawn(plug).join().unwrap())
        };
        let devices: Arc<[Tun]> = machines.iter().enumerate().map(device).collect();
        for from in 0..machines.len() {
            runtime.spawn(carry(from, devices.clone(), wires.clone()));
        }
        Self { wires, runtime: Some(runtime) }
    }

    /// From now on the wire from one machine to another is like this.
    pub fn set(&self, from: usize, to: usize, wire: Wire) {
        self.wires.lock().unwrap()[from][to] = wire;
    }

    /// From now on the wires between two machines are like this, in both directions.
    pub fn set_both(&self, one: usize, other: usize, wire: Wire) {
        self.set(one, other, wire);
        self.set(other, one, wire);
    }

    /// From now on all wires are like this.
    pub fn set_all(&self, wire: Wire) {
        self.wires.lock().unwrap().iter_mut().for_each(|wires| wires.fill(wire));
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The address of a machine.
pub fn address(machine: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 73, 0, u8::try_from(machine + 1).unwrap())
}

/// Which machine a packet is for, if it is for one.
fn destination(packet: &[u8]) -> Option<usize> {
    match packet {
        [first, ..] if first >> 4 == 4 => match packet.get(16..20)? {
            [10, 73, 0, last] => usize::from(*last).checked_sub(1),
            _ => None,
        },
        _ => None,
    }
}

fn plug(number: usize) -> Tun {
    let device =
        Tun::builder().name("wire").address(address(number)).netmask(Ipv4Addr::new(255, 255, 255, 0));
    let device = device.up().build().unwrap_or_else(|error| {
        panic!("no network device ({error}): the kernel must have TUN, and /dev/net/tun must be there")
    });
    device.into_iter().next().unwrap()
}

/// Carries what a machine sends to where it goes.
async fn carry(from: usize, devices: Arc<[Tun]>, wires: Arc<Mutex<Vec<Vec<Wire>>>>) {
    let mut dice = Dice::new(from as u64);
    let mut buffer = [0; PACKET_BYTES_MAX];
    while let Ok(bytes) = devices[from].recv(&mut buffer).await {
        let packet = &buffer[..bytes];
        let Some(to) = destination(packet).filter(|to| *to < devices.len()) else { continue };
        let Wire { is_cut, loss_ppm, delay_ms } = wires.lock().unwrap()[from][to];
        if is_cut || dice.chance(loss_ppm) {
            continue;
        }
        let delay = dice.ms(delay_ms.0, delay_ms.1);
        if delay == Duration::ZERO {
            // Like any network, this one loses what nobody takes.
            let _ = devices[to].send(packet).await;
            continue;
        }
        let (devices, packet) = (devices.clone(), packet.to_vec());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let _ = devices[to].send(&packet).await;
        });
    }
}
