"""Attentive pooling: frame features -> K global semantic tokens (e_gv; paper §II-B2, eq. 2-4).

Factor graph attention (Schwartz et al. 2019) with one utility. As in the authors' code, the cross potential is
a mean over frames; eq. 4 has a sum. Their dropout stays active at inference; here it is active only in training.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional


class UnaryPotential(nn.Module):
    """θ_l(u) = v · relu(V e_u): Tensor[B, C, T_v] -> Tensor[B, T_v]."""

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.embed = nn.Conv1d(width, width, 1)
        self.feature_reduce = nn.Conv1d(width, 1, 1)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.dropout(functional.relu(self.embed(x)), self.dropout, self.training)
        return self.feature_reduce(hidden)[:, 0]


class CrossPotential(nn.Module):
    """θ_c(u): mean cosine of W_1 e_u with every W_2 e_i. Tensor[B, C, T_v] -> Tensor[B, T_v]."""

    def __init__(self, width: int):
        super().__init__()
        self.embed_X = nn.Conv1d(width, width, 1)
        self.embed_Y = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = functional.normalize(self.embed_X(x), dim=1)
        other = functional.normalize(self.embed_Y(x), dim=1)
        return torch.einsum("bcu,bci->bui", one, other).mean(-1)


class FactorGraphAttention(nn.Module):
    """p(u) of eq. 3: Tensor[B, C, T_v] -> Tensor[B, T_v], each row sums to one."""

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.un_models = nn.ModuleList([UnaryPotential(width, dropout)])
        self.pp_models = nn.ModuleList([CrossPotential(width)])
        self.reduce_potentials = nn.ModuleList([nn.Conv1d(2, 1, 1, bias=False)])  # α_l, α_c

    def forward(self, x: Tensor) -> Tensor:
        potentials = torch.stack([self.un_models[0](x), self.pp_models[0](x)], 1)
        return self.reduce_potentials[0](potentials)[:, 0].softmax(-1)


class AttentivePooling(ModelMixin, ConfigMixin):
    """`cavp_features` Tensor[B, T_v, D] -> `global_tokens` Tensor[B, K, token_dim]."""

    @register_to_config
    def __init__(self, feature_dim: int = 512, token_dim: int = 1024, tokens: int = 4, dropout: float = 0.5):
        super().__init__()
        self.fc = nn.Linear(feature_dim, token_dim)
        self.fga = FactorGraphAttention(token_dim, dropout)
        self.conv = nn.Conv1d(1, tokens, 3, padding=1)

    def forward(self, cavp_features: Tensor) -> Tensor:
        frames = self.fc(cavp_features)
        attention = self.fga(frames.transpose(1, 2))
        attended = torch.einsum("bu,buc->bc", attention, frames)
        return self.conv(attended[:, None])  # the convolution runs along the features
