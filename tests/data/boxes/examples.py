"""One small data set in every format: two pictures of 20 x 10, the first with two boxes and a crowd, the second empty."""

import json

from PIL import Image

from tests.data.pictures.examples import encoded

BOXES = [("cat", 2, 1, 8, 9, False), ("dog", 10, 0, 20, 5, False), ("cat", 0, 0, 20, 10, True)]
YAML = b"names: [cat, dog]\n"


def picture(value=0, mode="RGB", size=(20, 10)):
    """The content of a file, another for each value."""
    return encoded(Image.new(mode, size, value if mode == "L" else (value % 256, value // 256, 7)))


def coco(names=("1.png", "2.png"), boxes=BOXES, **changes):
    """The boxes are those of the first picture; ids have gaps."""
    content = {
        "images": [{"id": 10 * i, "file_name": name, "width": 20, "height": 10} for i, name in enumerate(names)],
        "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
        "annotations": [
            {
                "id": 5 + i,
                "image_id": 0,
                "category_id": 3 if label == "cat" else 7,
                "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
                "iscrowd": int(is_crowd),
                "segmentation": {"counts": [1, 2], "size": [10, 20]} if is_crowd else [[1, 2, 3, 4, 5, 6]],
            }
            for i, (label, xmin, ymin, xmax, ymax, is_crowd) in enumerate(boxes)
        ],
    }
    return json.dumps(content | changes, indent=1).encode()


def voc(boxes=(), name="1.png", size="<width>20</width><height>10</height>"):
    objects = [
        f"<object>\n<name>{label}</name>\n<difficult>{int(is_crowd)}</difficult>\n<bndbox>"
        f"<xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox>\n</object>\n"
        for label, xmin, ymin, xmax, ymax, is_crowd in boxes
    ]
    return f"<annotation><filename>{name}</filename><size>{size}</size>\n{''.join(objects)}</annotation>".encode()


def yolo(boxes=BOXES):
    lines = [
        f"{['cat', 'dog'].index(label)} {(xmin + xmax) / 40} {(ymin + ymax) / 20} {(xmax - xmin) / 20} {(ymax - ymin) / 10}\n"
        for label, xmin, ymin, xmax, ymax, _ in boxes
    ]
    return "".join(lines).encode()


def csv(boxes=BOXES, header="filename,width,height,class,xmin,ymin,xmax,ymax"):
    rows = [f"1.png,20,10,{label},{xmin},{ymin},{xmax},{ymax}" for label, xmin, ymin, xmax, ymax, _ in boxes]
    return "\n".join([header, *rows, "2.png,20,10,,,,,"]).encode()


ONE, TWO = picture(1), picture(2)
DATA_SETS = {
    "coco": {"annotations/instances_train2017.json": coco(), "train2017/1.png": ONE, "train2017/2.png": TWO},
    "coco, folder a part": {"train/_annotations.coco.json": coco(), "train/1.png": ONE, "train/2.png": TWO},
    "voc": {
        "top/ImageSets/Main/train.txt": b"1\n2\n",
        "top/ImageSets/Main/cat_train.txt": b"1 1\n2 -1\n",
        "top/Annotations/1.xml": voc(BOXES),
        "top/Annotations/2.xml": voc(),
        "top/JPEGImages/1.png": ONE,
        "top/JPEGImages/2.png": TWO,
    },
    "voc, folder a part": {"train/1.xml": voc(BOXES), "train/2.xml": voc(), "train/1.png": ONE, "train/2.png": TWO},
    "yolo": {
        "data.yaml": YAML,
        "images/train/1.png": ONE,
        "images/train/2.png": TWO,
        "labels/train/1.txt": yolo(),
    },
    "yolo, folder a part": {
        "dataset.yml": b"names:\n  0: cat\n  1: dog\n",
        "train/images/1.png": ONE,
        "train/images/2.png": TWO,
        "train/labels/1.txt": yolo(),
        "train/labels/2.txt": b"\n",
    },
    "yolo, classes.txt": {
        "images/train/1.png": ONE,
        "images/train/2.png": TWO,
        "labels/train/1.txt": yolo(),
        "labels/train/classes.txt": b"cat\ndog\n",
    },
    "csv": {"train.csv": csv(), "pictures/1.png": ONE, "pictures/2.png": TWO},
    "csv, other names": {
        "train_labels.csv": csv(header="image;w;h;label;x1;y1;x2;y2").replace(b",", b";"),
        "1.png": ONE,
        "2.png": TWO,
    },
    "csv without a header": {
        "train.csv": b"/home/me/1.png,2,1,8,9,cat\n1.png,10,0,20,5,dog\n1.png,0,0,20,10,cat\n2.png,,,,,\n",
        "1.png": ONE,
        "2.png": TWO,
    },
}
HAS_NO_CROWDS = ("yolo", "csv")
