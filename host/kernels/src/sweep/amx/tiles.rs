//! What tile programs need of a machine: eight tiles of at most 16 rows of 64 bytes, and the few instructions on
//! them, each as Intel's manual defines it (volume 2, "Intel AMX instruction reference").

/// Tiles that a program may name.
pub(crate) const TILES: usize = 8;
/// Most rows of a tile.
pub(crate) const ROWS_MAX: usize = 16;
/// Most bytes of a row of a tile.
pub(crate) const ROW_BYTES: usize = 64;

/// How many rows and bytes of a row each tile has, as LDTILECFG reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Shapes {
    /// 1: eight tiles of 1 KiB.
    pub(super) palette: u8,
    /// Where an interrupted load goes on; zero before one begins.
    pub(super) start_row: u8,
    pub(super) reserved: [u8; 14],
    /// Bytes of a row of each tile. The last eight belong to no tile.
    pub(super) row_bytes: [u16; 16],
    /// Rows of each tile. The last eight belong to no tile.
    pub(super) rows: [u8; 16],
}

impl Shapes {
    /// All tiles have 16 rows of 64 bytes.
    pub(crate) const FULL: Self = Self::of([(ROWS_MAX as u8, ROW_BYTES as u16); TILES]);

    /// Rows, and bytes of a row, of every tile.
    pub(crate) const fn of(shapes: [(u8, u16); TILES]) -> Self {
        let mut all =
            Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        let mut tile = 0;
        while tile < TILES {
            (all.rows[tile], all.row_bytes[tile]) = shapes[tile];
            tile += 1;
        }
        all
    }
}

/// The instructions. Tiles are named by constants, as registers are.
pub(crate) trait Tiles {
    /// LDTILECFG: gives every tile its shape, and zeros.
    fn shape(&mut self, shapes: &'static Shapes);

    /// TILEZERO
    fn zero<const TILE: usize>(&mut self);

    /// TILELOADD: row `r` of the tile comes from `r * stride` bytes behind `from`.
    ///
    /// # Safety
    /// All rows of the tile can be read there.
    unsafe fn load<const TILE: usize>(&mut self, from: *const u8, stride: usize);

    /// TILESTORED: row `r` of the tile goes to `r * stride` bytes behind `to`.
    ///
    /// # Safety
    /// All rows of the tile can be written there.
    unsafe fn store<const TILE: usize>(&mut self, to: *mut u8, stride: usize);

    /// TDPBSSD where `SIGNED`, TDPBSUD where not: `SUMS[m][n] += Σ A[m][4 * k + i] * B[k][4 * n + i]` over all `k`
    /// and `i < 4`, wrapping, for signed bytes of `A`, bytes of `B` that are signed or not, and sums of 32 bits.
    fn multiply<const SUMS: usize, const A: usize, const B: usize, const SIGNED: bool>(&mut self);
}
