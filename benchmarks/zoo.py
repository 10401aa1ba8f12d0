#!/usr/bin/env python3
"""Writes FP32 models of torchvision and timm as their own exporter does: networks narrow was not written for.

usage: zoo.py DIR [--only NAME...]      wants torch, torchvision, timm and onnx; the batch is the free dimension "N"

Weights are random (seed 0), statistics of BatchNormalization those of four random images, so that values stay in range.
"""
import argparse
import pathlib
import warnings

import timm
import torch
import torchvision

TORCHVISION = ["resnet18", "resnext50_32x4d", "regnet_y_400mf", "efficientnet_b0", "efficientnet_v2_s", "mobilenet_v3_large",
               "mobilenet_v3_small", "mnasnet1_0", "convnext_tiny", "shufflenet_v2_x1_0", "inception_v3", "alexnet"]
TIMM = ["ghostnet_100", "repvgg_a0", "mobileone_s0", "hrnet_w18_small", "dla34", "mixnet_s", "res2net50_14w_8s", "seresnet50", "cspdarknet53",
        "ese_vovnet19b_dw", "tf_efficientnet_lite0", "fbnetc_100", "mobilevit_s", "edgenext_small", "poolformer_s12", "resnetv2_50",
        "vit_tiny_patch16_224"]
SEGMENTATION = "deeplabv3_mobilenet_v3_large"


class Segments(torch.nn.Module):
    """A segmentation network's only result that is an image of classes."""

    def __init__(self):
        super().__init__()
        self.network = getattr(torchvision.models.segmentation, SEGMENTATION)(weights=None, weights_backbone=None)

    def forward(self, x):
        return self.network(x)["out"]


def create(name: str) -> tuple[torch.nn.Module, int]:
    """The network and the extent of its images."""
    if name == SEGMENTATION:
        return Segments(), 256
    if name == "inception_v3":
        return torchvision.models.inception_v3(aux_logits=False, init_weights=False), 299
    if name in TORCHVISION:
        return getattr(torchvision.models, name)(), 224
    return timm.create_model(name, pretrained=False, exportable=True), 224


def with_statistics(network: torch.nn.Module, extent: int) -> torch.nn.Module:
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean of all batches, of which there is one
        if isinstance(module, torch.nn.Dropout):
            module.p = 0
    with torch.no_grad():
        network(torch.randn(4, 3, extent, extent))
    return network.eval()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folder", type=pathlib.Path)
    ap.add_argument("--only", nargs="+", default=[*TORCHVISION, *TIMM, SEGMENTATION])
    options = ap.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    for name in options.only:
        torch.manual_seed(0)
        network, extent = create(name)
        batch = {0: "N"}
        torch.onnx.export(with_statistics(network, extent), (torch.randn(1, 3, extent, extent),),
                          options.folder / f"{name}.onnx", input_names=["input"], output_names=["output"],
                          dynamic_axes={"input": batch, "output": batch}, opset_version=17, dynamo=False)
        print(name, flush=True)


if __name__ == "__main__":
    main()
