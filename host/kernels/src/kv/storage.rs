//! What a block is kept in: numbers of one of three kinds.

use super::number::Half;

/// Tokens of a block.
pub const BLOCK_TOKENS: usize = 64;

/// What the keys and the values of a head's tokens are to be multiplied by.
pub(crate) type Scales = [[f32; BLOCK_TOKENS]; 2];

/// What a number of a KV cache is kept as. Arithmetic is f32 whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvFormat {
    /// As it was computed.
    F32,
    /// IEEE half; what is beyond its range becomes the end of it.
    F16,
    /// 8 bits, with a scale for the key and one for the value of each token and head.
    Int8,
}

/// What a KV cache holds of a token in one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvShape {
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// What an element is kept as.
    pub format: KvFormat,
}

impl KvShape {
    /// Bytes that the key and the value of a token take.
    pub fn token_bytes(self) -> usize {
        let head = match self.format {
            KvFormat::F32 => self.head_dim * size_of::<f32>(),
            KvFormat::F16 => self.head_dim * size_of::<Half>(),
            KvFormat::Int8 => self.head_dim + size_of::<f32>(),
        };
        2 * self.kv_heads * head
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        BLOCK_TOKENS * self.token_bytes()
    }

    /// Elements of a key or of a value.
    pub(super) fn width(self) -> usize {
        self.kv_heads * self.head_dim
    }
}

/// The numbers of a block.
#[derive(Debug, Clone)]
pub(super) enum Numbers {
    F32(Box<[f32]>),
    F16(Box<[Half]>),
    Int8(Box<[i8]>, Box<[Scales]>),
}

impl Numbers {
    /// Of a block of this shape.
    pub(super) fn zeros(shape: KvShape) -> Self {
        let len = 2 * shape.width() * BLOCK_TOKENS;
        match shape.format {
            KvFormat::F32 => Self::F32(vec![0.0; len].into()),
            KvFormat::F16 => Self::F16(vec![[0; 2]; len].into()),
            KvFormat::Int8 => {
                let scales = vec![[[0.0; BLOCK_TOKENS]; 2]; shape.kv_heads];
                Self::Int8(vec![0; len].into(), scales.into())
            }
        }
    }

    /// Forgets what it held: an unseen value of another sequence must not even be multiplied by zero.
    pub(super) fn clear(&mut self) {
        match self {
            Self::F32(numbers) => numbers.fill(0.0),
            Self::F16(numbers) => numbers.fill([0; 2]),
            Self::Int8(numbers, scales) => {
                numbers.fill(0);
                scales.fill([[0.0; BLOCK_TOKENS]; 2]);
            }
        }
    }
}
