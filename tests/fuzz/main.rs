//! Every decoder of bytes from outside or from disk, on bytes that nobody meant: it answers, and keeps its promises.
//!
//! The decoders are in `decoders/`, one file each. Here they are tried with a stable toolchain on their corpus, on the
//! corpus damaged, and on random bytes, always the same ones; `make fuzz DECODER=manifest` looks further.
//!
//! The files `seed-*` of a corpus are made from values; `SYNOD_FUZZ_CORPUS=write` writes them again. What `cargo fuzz`
//! finds is put beside them.

mod decoders;

use std::fs;
use std::path::PathBuf;

use decoders::{ALL, Decoder};

/// Damaged inputs per decoder.
const DAMAGED: usize = 3_000;
/// Random inputs per decoder.
const RANDOM: usize = 1_000;

fn corpus(decoder: &Decoder) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(decoder.name)
}

fn inputs(decoder: &Decoder) -> Vec<Vec<u8>> {
    let files = fs::read_dir(corpus(decoder)).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no corpus", decoder.name);
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// SplitMix64: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// An input with one to four things wrong.
fn damage(numbers: &mut Numbers, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = inputs[numbers.below(inputs.len())].clone();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        match numbers.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][numbers.below(5)],
            2 => bytes.truncate(at),
            3 => {
                let length = numbers.below(9);
                let extra = numbers.bytes(length);
                bytes.splice(at..at, extra);
            }
            4 => {
                let end = (at + numbers.below(16)).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let other = &inputs[numbers.below(inputs.len())];
                let from = numbers.below(other.len());
                let to = (from + numbers.below(64)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let end = (at + numbers.below(64)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}

#[test]
fn seeds_are_what_the_values_say_and_every_decoder_takes_them() {
    for decoder in &ALL {
        let dir = corpus(decoder);
        for (number, seed) in (decoder.seeds)().into_iter().enumerate() {
            let path = dir.join(format!("seed-{number}"));
            if std::env::var("SYNOD_FUZZ_CORPUS").is_ok_and(|what| what == "write") {
                fs::create_dir_all(&dir).unwrap();
                fs::write(&path, &seed).unwrap();
            }
            let stored = fs::read(&path).unwrap();
            assert!(
                stored == seed,
                "{} is not what is written today: can old bytes be read?",
                path.display()
            );
            assert!((decoder.run)(&seed), "{} is not taken", path.display());
        }
    }
}

#[test]
fn every_corpus_is_answered() {
    for decoder in &ALL {
        for input in inputs(decoder) {
            (decoder.run)(&input);
        }
    }
}

#[test]
fn damaged_bytes_are_answered() {
    for (number, decoder) in ALL.iter().enumerate() {
        let (inputs, mut numbers) = (inputs(decoder), Numbers(number as u64));
        let taken = (0..DAMAGED).filter(|_| (decoder.run)(&damage(&mut numbers, &inputs))).count();
        assert!(taken < DAMAGED, "{} takes everything", decoder.name);
    }
}

#[test]
fn random_bytes_are_answered() {
    for (number, decoder) in ALL.iter().enumerate() {
        let mut numbers = Numbers(!(number as u64));
        for _ in 0..RANDOM {
            let length = numbers.below(300);
            (decoder.run)(&numbers.bytes(length));
        }
        (decoder.run)(&[]);
    }
}
