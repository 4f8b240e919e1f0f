//! The tiles of a machine that has none, so that tile programs are tested everywhere. It is as strict as the
//! processor: what would be an undefined instruction fails an assertion.

use super::tiles::{ROW_BYTES, ROWS_MAX, Shapes, TILES, Tiles};

/// Eight tiles in memory.
#[derive(Debug)]
pub(crate) struct Emulator {
    shapes: Shapes,
    tiles: [[[u8; ROW_BYTES]; ROWS_MAX]; TILES],
}

impl Emulator {
    /// Without shapes, as after TILERELEASE.
    pub(crate) fn new() -> Self {
        let shapes = Shapes { palette: 0, ..Shapes::of([(0, 0); TILES]) };
        Self { shapes, tiles: [[[0; ROW_BYTES]; ROWS_MAX]; TILES] }
    }

    /// Rows, and bytes of a row, of a tile that may be used.
    fn shape_of(&self, tile: usize) -> (usize, usize) {
        assert_eq!(self.shapes.palette, 1, "tiles without shapes");
        let (rows, bytes) = (self.shapes.rows[tile], self.shapes.row_bytes[tile]);
        assert!(rows > 0 && bytes > 0, "tile {tile} has no shape");
        (usize::from(rows), usize::from(bytes))
    }

    /// Bytes `4 * column..` of a row.
    fn quad(&self, tile: usize, row: usize, column: usize) -> [u8; 4] {
        self.tiles[tile][row].as_chunks().0[column]
    }
}

impl Tiles for Emulator {
    fn shape(&mut self, shapes: &'static Shapes) {
        assert_eq!((shapes.palette, shapes.start_row, shapes.reserved), (1, 0, [0; 14]));
        for (tile, (rows, bytes)) in shapes.rows.iter().zip(shapes.row_bytes).enumerate() {
            assert!(usize::from(*rows) <= ROWS_MAX && usize::from(bytes) <= ROW_BYTES);
            assert_eq!(*rows == 0, bytes == 0, "half a shape for tile {tile}");
            assert!(tile < TILES || *rows == 0, "a shape for no tile");
        }
        *self = Self { shapes: *shapes, ..Self::new() };
    }

    fn zero<const TILE: usize>(&mut self) {
        self.shape_of(TILE);
        self.tiles[TILE] = [[0; ROW_BYTES]; ROWS_MAX];
    }

    unsafe fn load<const TILE: usize>(&mut self, from: *const u8, stride: usize) {
        let (rows, bytes) = self.shape_of(TILE);
        self.zero::<TILE>();
        for (index, row) in self.tiles[TILE].iter_mut().enumerate().take(rows) {
            // SAFETY: the caller's promise.
            unsafe {
                from.add(index * stride).copy_to_nonoverlapping(row.as_mut_ptr(), bytes);
            }
        }
    }

    unsafe fn store<const TILE: usize>(&mut self, to: *mut u8, stride: usize) {
        let (rows, bytes) = self.shape_of(TILE);
        for (index, row) in self.tiles[TILE].iter().enumerate().take(rows) {
            // SAFETY: the caller's promise.
            unsafe { to.add(index * stride).copy_from_nonoverlapping(row.as_ptr(), bytes) };
        }
    }

    fn multiply<const SUMS: usize, const A: usize, const B: usize, const SIGNED: bool>(&mut self) {
        let [(rows, bytes), (a_rows, a_bytes), (b_rows, b_bytes)] =
            [SUMS, A, B].map(|tile| self.shape_of(tile));
        assert!(SUMS != A && SUMS != B && A != B, "a tile twice");
        assert_eq!([bytes % 4, a_bytes % 4, b_bytes % 4], [0; 3], "not whole quads");
        assert_eq!((rows, bytes, a_bytes / 4), (a_rows, b_bytes, b_rows), "shapes do not meet");
        let signs = |bytes: [u8; 4]| bytes.map(|byte| i32::from(byte as i8));
        for (m, n) in (0..rows).flat_map(|m| (0..bytes / 4).map(move |n| (m, n))) {
            let mut sum = i32::from_le_bytes(self.quad(SUMS, m, n));
            for k in 0..b_rows {
                let (a, b) = (signs(self.quad(A, m, k)), self.quad(B, k, n));
                let b = if SIGNED { signs(b) } else { b.map(i32::from) };
                sum = a.iter().zip(b).fold(sum, |sum, (a, b)| sum.wrapping_add(a * b));
            }
            self.tiles[SUMS][m].as_chunks_mut().0[n] = sum.to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Noise;

    /// Tile 0 is 3 by 5 sums, of tile 1 with 3 rows of 8 bytes and tile 2 with 2 rows of 20.
    static SMALL: Shapes =
        Shapes::of([(3, 20), (3, 8), (2, 20), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0)]);

    fn product<const SIGNED: bool>(a: &[[u8; 8]; 3], b: &[[u8; 20]; 2]) -> [[i32; 7]; 3] {
        let (mut tiles, mut out) = (Emulator::new(), [[i32::MAX; 7]; 3]);
        tiles.shape(&SMALL);
        // SAFETY: rows are as many and as long as the shapes say, and 28 bytes apart where they are written.
        unsafe {
            tiles.load::<1>(a.as_ptr().cast(), 8);
            tiles.load::<2>(b.as_ptr().cast(), 20);
            tiles.multiply::<0, 1, 2, SIGNED>();
            tiles.multiply::<0, 1, 2, SIGNED>();
            tiles.store::<0>(out.as_mut_ptr().cast(), 28);
        }
        out
    }

    #[test]
    fn products_are_those_of_the_matrices() {
        let mut noise = Noise(1);
        let a: [[u8; 8]; 3] = [(); 3].map(|()| [(); 8].map(|()| noise.bits() as u8));
        let b: [[u8; 20]; 2] = [(); 2].map(|()| [(); 20].map(|()| noise.bits() as u8));
        let [unsigned, signed] = [product::<false>(&a, &b), product::<true>(&a, &b)];
        for (m, n) in (0..3).flat_map(|m| (0..5).map(move |n| (m, n))) {
            let weight = |k: usize| b[k / 4][4 * n + k % 4];
            let terms = |weight: &dyn Fn(usize) -> i32| {
                2 * (0..8).map(|k| i32::from(a[m][k] as i8) * weight(k)).sum::<i32>()
            };
            assert_eq!(unsigned[m][n], terms(&|k| i32::from(weight(k))));
            assert_eq!(signed[m][n], terms(&|k| i32::from(weight(k) as i8)));
        }
        assert!(unsigned != signed && unsigned.iter().all(|row| row[5..] == [i32::MAX; 2]));
    }

    #[test]
    #[should_panic(expected = "shapes do not meet")]
    fn shapes_that_do_not_meet_are_refused() {
        static HALF: Shapes = {
            let mut shapes = [(16, 64); TILES];
            shapes[1] = (16, 32);
            Shapes::of(shapes)
        };
        let mut tiles = Emulator::new();
        tiles.shape(&Shapes::FULL);
        tiles.multiply::<0, 1, 2, true>();
        tiles.shape(&HALF);
        tiles.multiply::<0, 1, 2, true>();
    }

    #[test]
    #[should_panic(expected = "tiles without shapes")]
    fn tiles_have_to_be_shaped_first() {
        Emulator::new().zero::<0>();
    }
}
