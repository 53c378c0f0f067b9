"""The official networks once more as plain functions of a state dict: an independent judge of the converters.

A network asks `Weights` for each tensor by its official name and shape; what is asked for first is made up.
So one pass over empty weights writes a complete official state dict, at full size on the meta device too.
"""

import math

import torch
import torch.nn.functional as F


class Weights(dict):
    """Official names -> tensors, made up when first asked for; none is 0 or 1, so that each one counts."""

    def __init__(self, seed=0, device="cpu"):
        super().__init__()
        self.device, self.generator = device, torch.Generator().manual_seed(seed)

    def __call__(self, name, *shape):
        if name not in self and self.device == "meta":
            self[name] = torch.empty(shape, device="meta")
        elif name not in self:
            draw = torch.randn(shape, generator=self.generator)
            self[name] = draw / math.prod(shape[1:]) ** 0.5 if len(shape) > 1 else 1 + 0.3 * draw
        assert self[name].shape == shape, name
        return self[name]

    def conv(self, name, x, out, size=3, **how):
        weight = self(f"{name}.weight", out, x.shape[1], size, size)
        return F.conv2d(x, weight, self(f"{name}.bias", out), **{"padding": size // 2, **how})

    def linear(self, name, x, out):
        return F.linear(x, self(f"{name}.weight", out, x.shape[1]), self(f"{name}.bias", out))

    def norm(self, name, x, groups, eps):
        n = x.shape[1]
        return F.group_norm(x, groups, self(f"{name}.weight", n), self(f"{name}.bias", n), eps)


def attend(q, k, v):
    """Attention of one head, (B, D, T) each."""
    return torch.bmm(v, torch.softmax(torch.bmm(q.transpose(1, 2), k) / q.shape[1] ** 0.5, 2).transpose(1, 2))


# --- DDPM: Ho et al. 2020 --------------------------------------------------------------------------------


def ddpm(w, x, t, *, ch, ch_mult, num_res_blocks, attn_resolutions, norm_num_groups=32, **_):
    """(ε, h)."""

    def norm(name, x):
        return w.norm(name, x, norm_num_groups, 1e-6)

    def block(name, x, out):
        h = w.conv(f"{name}.conv1", F.silu(norm(f"{name}.norm1", x)), out)
        h = h + w.linear(f"{name}.temb_proj", F.silu(temb), out)[:, :, None, None]
        h = w.conv(f"{name}.conv2", F.silu(norm(f"{name}.norm2", h)), out)
        return h + (x if x.shape[1] == out else w.conv(f"{name}.nin_shortcut", x, out, 1))

    def attention(name, x):
        n = x.shape[1]
        h = norm(f"{name}.norm", x)
        h = attend(*(w.conv(f"{name}.{part}", h, n, 1).flatten(2) for part in "qkv")).reshape(x.shape)
        return x + w.conv(f"{name}.proj_out", h, n, 1)

    frequency = torch.exp(-math.log(10000) * torch.arange(ch // 2) / (ch // 2 - 1)).to(x.device)
    angle = t[:, None] * frequency
    temb = w.linear("temb.dense.0", torch.cat([angle.sin(), angle.cos()], 1), 4 * ch)
    temb = w.linear("temb.dense.1", F.silu(temb), 4 * ch)
    x = w.conv("conv_in", x, ch)
    skips = [x]
    for i, m in enumerate(ch_mult):
        for j in range(num_res_blocks):
            x = block(f"down.{i}.block.{j}", x, ch * m)
            if x.shape[-1] in attn_resolutions:
                x = attention(f"down.{i}.attn.{j}", x)
            skips.append(x)
        if i < len(ch_mult) - 1:
            x = w.conv(f"down.{i}.downsample.conv", F.pad(x, (0, 1, 0, 1)), ch * m, stride=2, padding=0)
            skips.append(x)
    x = block("mid.block_1", x, x.shape[1])
    h = x = block("mid.block_2", attention("mid.attn_1", x), x.shape[1])
    for i, m in reversed(list(enumerate(ch_mult))):
        for j in range(num_res_blocks + 1):
            x = block(f"up.{i}.block.{j}", torch.cat([x, skips.pop()], 1), ch * m)
            if x.shape[-1] in attn_resolutions:
                x = attention(f"up.{i}.attn.{j}", x)
        if i:
            x = w.conv(f"up.{i}.upsample.conv", F.interpolate(x, scale_factor=2.0), ch * m)
    return w.conv("conv_out", F.silu(norm("norm_out", x)), 3), h


# --- iDDPM, P2, ADM: Dhariwal & Nichol 2021 --------------------------------------------------------------


def adm(
    w,
    x,
    t,
    y=None,
    *,
    num_channels,
    channel_mult,
    num_res_blocks,
    attention_ds,
    num_head_channels=None,
    num_heads=1,
    use_new_attention_order=False,
    resblock_updown=True,
    use_scale_shift_norm=True,
    out_channels=6,
    num_classes=None,
    norm_num_groups=32,
    **_,
):
    """(ε with the variance channels behind it, h)."""

    def norm(name, x):
        return w.norm(name, x, norm_num_groups, 1e-5)

    def block(name, x, out, resample=lambda x: x):
        h = w.conv(f"{name}.in_layers.2", resample(F.silu(norm(f"{name}.in_layers.0", x))), out)
        x = resample(x)
        time = w.linear(f"{name}.emb_layers.1", F.silu(emb), out * (2 if use_scale_shift_norm else 1))[
            :, :, None, None
        ]
        if use_scale_shift_norm:
            h = norm(f"{name}.out_layers.0", h) * (1 + time[:, :out]) + time[:, out:]
        else:
            h = norm(f"{name}.out_layers.0", h + time)
        h = w.conv(f"{name}.out_layers.3", F.silu(h), out)
        return h + (x if x.shape[1] == out else w.conv(f"{name}.skip_connection", x, out, 1))

    def attention(name, x):
        n, flat = x.shape[1], norm(f"{name}.norm", x).flatten(2)
        heads = n // num_head_channels if num_head_channels else num_heads
        d = n // heads
        qkv = F.conv1d(flat, w(f"{name}.qkv.weight", 3 * n, n, 1), w(f"{name}.qkv.bias", 3 * n))
        done = []
        for head in range(heads):
            if use_new_attention_order:  # all queries, all keys, all values
                q, k, v = (qkv[:, part * n + head * d : part * n + (head + 1) * d] for part in range(3))
            else:  # query, key, value of the first head, of the second, …
                q, k, v = (qkv[:, (3 * head + part) * d : (3 * head + part + 1) * d] for part in range(3))
            done.append(attend(q, k, v))
        h = F.conv1d(torch.cat(done, 1), w(f"{name}.proj_out.weight", n, n, 1), w(f"{name}.proj_out.bias", n))
        return x + h.reshape(x.shape)

    frequency = torch.exp(-math.log(10000) * torch.arange(num_channels // 2) / (num_channels // 2)).to(
        x.device
    )
    angle = t[:, None] * frequency
    emb = w.linear("time_embed.0", torch.cat([angle.cos(), angle.sin()], 1), 4 * num_channels)
    emb = w.linear("time_embed.2", F.silu(emb), 4 * num_channels)
    if num_classes:
        emb = emb + w("label_emb.weight", num_classes, 4 * num_channels)[y]
    widths = [int(m * num_channels) for m in channel_mult]
    x = w.conv("input_blocks.0.0", x, widths[0])
    skips = [x]
    for i, width in enumerate(widths):
        for _ in range(num_res_blocks):
            name = f"input_blocks.{len(skips)}"
            x = block(f"{name}.0", x, width)
            if 2**i in attention_ds:
                x = attention(f"{name}.1", x)
            skips.append(x)
        if i < len(widths) - 1:
            name = f"input_blocks.{len(skips)}.0"
            if resblock_updown:
                x = block(name, x, width, lambda x: F.avg_pool2d(x, 2))
            else:
                x = w.conv(f"{name}.op", x, width, stride=2)
            skips.append(x)
    x = block("middle_block.0", x, width)
    h = x = block("middle_block.2", attention("middle_block.1", x), width)
    number = 0
    for i, width in reversed(list(enumerate(widths))):
        for j in range(num_res_blocks + 1):
            x, place = block(f"output_blocks.{number}.0", torch.cat([x, skips.pop()], 1), width), 1
            if 2**i in attention_ds:
                x, place = attention(f"output_blocks.{number}.1", x), 2
            if i and j == num_res_blocks:
                name = f"output_blocks.{number}.{place}"
                if resblock_updown:
                    x = block(name, x, width, lambda x: F.interpolate(x, scale_factor=2.0))
                else:
                    x = w.conv(f"{name}.conv", F.interpolate(x, scale_factor=2.0), width)
            number += 1
    return w.conv("out.2", F.silu(norm("out.0", x)), out_channels), h
