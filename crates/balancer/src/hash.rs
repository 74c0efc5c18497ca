//! Hash functions of Kong's balancer.

const P1: u32 = 0x9e37_79b1;
const P2: u32 = 0x85eb_ca77;
const P3: u32 = 0xc2b2_ae3d;
const P4: u32 = 0x27d4_eb2f;
const P5: u32 = 0x1656_67b1;

/// XXH32 with seed 0, as published by Yann Collet.
pub fn xxhash32(data: &[u8]) -> u32 {
    let (blocks, rest) = data.as_chunks::<16>();
    let mut hash = if blocks.is_empty() {
        P5
    } else {
        let mut lanes = [P1.wrapping_add(P2), P2, 0, 0_u32.wrapping_sub(P1)];
        for block in blocks {
            let (words, _) = block.as_chunks::<4>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                let mixed = lane.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(P2));
                *lane = mixed.rotate_left(13).wrapping_mul(P1);
            }
        }
        let turns = [1, 7, 12, 18];
        lanes.iter().zip(turns).fold(0, |sum: u32, (lane, turn)| {
            sum.wrapping_add(lane.rotate_left(turn))
        })
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the length enters modulo 2^32 by definition"
    )]
    let length = data.len() as u32;
    hash = hash.wrapping_add(length);
    let (words, bytes) = rest.as_chunks::<4>();
    for word in words {
        hash = hash.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(P3));
        hash = hash.rotate_left(17).wrapping_mul(P4);
    }
    for byte in bytes {
        hash = hash.wrapping_add(u32::from(*byte).wrapping_mul(P5));
        hash = hash.rotate_left(11).wrapping_mul(P1);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(P2);
    hash = (hash ^ (hash >> 13)).wrapping_mul(P3);
    hash ^ (hash >> 16)
}
